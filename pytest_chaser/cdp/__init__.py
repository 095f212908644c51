"""The browser, over the Chrome DevTools Protocol: the only importer of pyppeteer and websockets."""
