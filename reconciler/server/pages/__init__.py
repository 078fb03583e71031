"""The web page of the reference server (ux.md 7): what people look at, rendered on the server, better with a script.

`routes/` answers requests, `facts.py` and its neighbours read the database, `views.py` and its neighbours turn what was
read into what is shown, pure; `templates/` and `static/` are how it looks. A page and its `.json` have one view.
"""
