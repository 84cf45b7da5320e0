"""The slow client: a page that shows what clients which do not read cost two servers."""
