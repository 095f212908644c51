(() => {
  const LIMIT = 400000;
  const passwords = [];
  // A style sheet of another origin does not show its rules.
  const rules = sheet => { try { return [...sheet.cssRules].map(rule => rule.cssText).join('\n'); } catch { return ''; } };
  const source = document.documentElement;
  const size = {width: innerWidth, height: innerHeight};
  if (!source) return {html: '', passwords, ...size};
  if (document.getElementsByTagName('*').length > 30000)
    return {html: '<body><p>[pytest-chaser: the document is too large for a snapshot]</p></body>', passwords, ...size};
  // In a document that is not shown nothing loads, and no custom element comes to life.
  const copy = document.implementation.createHTMLDocument('').importNode(source, true);
  const from = [source, ...source.querySelectorAll('*')];
  const to = [copy, ...copy.querySelectorAll('*')];
  const gone = [];
  for (let i = 0; i < from.length; i++) {
    const a = from[i], b = to[i], tag = a.localName;
    if (tag === 'script' || tag === 'noscript' || tag === 'link' || tag === 'base' || tag === 'template') gone.push(b);
    else if (tag === 'meta' && a.hasAttribute('http-equiv')) gone.push(b);
    else if (tag === 'input') {
      if (a.type === 'password') {
        if (a.value) passwords.push(a.value);
        b.setAttribute('value', a.value ? '***' : '');
      }
      else if (a.type === 'checkbox' || a.type === 'radio') b.toggleAttribute('checked', a.checked);
      else if (a.type !== 'file') b.setAttribute('value', a.value);
    } else if (tag === 'textarea') b.textContent = a.value;
    else if (tag === 'option') b.toggleAttribute('selected', a.selected);
    else if (tag === 'style') b.textContent = rules(a.sheet) || b.textContent;
    else if (tag === 'iframe' || tag === 'object' || tag === 'embed' || tag === 'img' || tag === 'video' ||
             tag === 'canvas' || tag === 'audio') {
      if (tag === 'img' && (a.getAttribute('src') || '').startsWith('data:')) continue;
      const box = a.getBoundingClientRect();
      const stand = document.createElement('span');
      for (const name of ['class', 'id']) if (a.hasAttribute(name)) stand.setAttribute(name, a.getAttribute(name));
      stand.setAttribute('style', 'display:inline-block;box-sizing:border-box;background:#8883;' +
        'outline:1px dashed #8888;overflow:hidden;font:11px sans-serif;' +
        `width:${box.width}px;height:${box.height}px`);
      stand.textContent = tag === 'img' ? a.alt : tag;
      b.replaceWith(stand);
    }
    if (a.shadowRoot && b.parentNode) {
      const shown = document.createElement('template');
      shown.setAttribute('shadowrootmode', 'open');
      shown.innerHTML = a.shadowRoot.innerHTML;
      b.prepend(shown);
    }
  }
  gone.forEach(node => node.remove());
  let css = '';
  for (const sheet of [...document.styleSheets, ...(document.adoptedStyleSheets || [])]) {
    if (sheet.ownerNode && sheet.ownerNode.localName === 'style') continue;
    css += rules(sheet) + '\n';
  }
  const head = copy.querySelector('head') || copy;
  if (css.trim()) { const style = document.createElement('style'); style.textContent = css; head.append(style); }
  let html = copy.outerHTML;
  if (html.length > LIMIT) {
    html = html.slice(0, LIMIT);
    html = html.slice(0, html.lastIndexOf('<')) + '<p>[pytest-chaser: the document was cut here]</p>';
  }
  return {html, passwords, ...size};
})()
