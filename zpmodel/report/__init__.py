"""What people read: words, tables, charts, and the site made of them."""
