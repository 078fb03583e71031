"""One module for each page: what was asked → what is read → a view → a reply."""
