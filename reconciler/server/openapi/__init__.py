"""What the server says of itself at `/openapi.json`: one table per area, one row per route, and how they are put
together. A route without a row, or a row without a route, is red in a test.
"""
