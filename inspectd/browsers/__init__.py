"""Starting the browsers that are installed: where they are, a profile that goes away, a proxy, an authority to trust.

Nothing of the person's own profile is read or written. What a browser does for a page is left as it is; only what it
does by itself, in the background, is switched off.
"""
