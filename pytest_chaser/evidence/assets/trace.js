'use strict';
(async () => {
  const byId = id => document.getElementById(id);
  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const packed = Uint8Array.from(atob(byId('trace-data').textContent), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  const trace = JSON.parse(await new Response(stream).text());

  const seconds = t => `${t.toFixed(t < 10 ? 2 : 1)} s`;
  const took = d => d === null ? 'running' : d < 1 ? `${Math.round(d * 1000)} ms` : seconds(d);
  const moments = [...trace.calls, ...trace.console, ...trace.network, ...trace.frames];
  const end = Math.max(trace.end, 0.1, ...moments.map(m => m.t + (m.d || 0)));
  const percent = t => `${(Math.min(Math.max(t, 0), end) / end * 100).toFixed(3)}%`;
  const isBad = entry => entry.failure || entry.status >= 400;
  const consoleKind = level => ['error', 'page-error', 'assert'].includes(level) ? 'bad' : level === 'warning' ? 'warn' : '';

  // The moment that is shown: a call's, or wherever the pointer is.
  let selected = -1, time = end, mode = 'frame', tab = trace.failure ? 'source' : 'console';

  function heading() {
    byId('test').textContent = trace.test;
    const about = byId('about');
    const badge = make('span', `badge ${trace.failure ? 'bad' : 'good'}`, trace.failure ? `failed in ${trace.phase}` : 'passed');
    about.append(badge, make('span', 'badge', `attempt ${trace.attempt}`));
    about.append([trace.url, seconds(end), trace.device, trace.session, new Date(trace.started).toLocaleString()]
      .filter(Boolean).join('  ·  '));
  }

  function timeline() {
    const film = byId('film'), width = film.clientWidth || 900, room = 74;
    let last = -Infinity;
    for (const frame of trace.frames) {
      const x = frame.t / end * width;
      if (x - last < room || x > width - 60) continue;
      const picture = make('img');
      picture.src = `data:image/jpeg;base64,${frame.jpeg}`;
      picture.alt = '';
      picture.style.left = percent(frame.t);
      film.append(picture);
      last = x;
    }
    const lanes = byId('lanes');
    const bar = (className, t, d, title, top) => {
      const node = make('i', className);
      node.style.left = percent(t);
      if (d !== undefined) node.style.width = percent(Math.min(d === null ? end - t : d, end - t));
      if (top !== undefined) node.style.top = `${top}px`;
      node.title = title;
      lanes.append(node);
      return node;
    };
    trace.navigations.forEach(n => bar('nav', n.t, undefined, n.url));
    trace.calls.forEach((call, i) => {
      bar(`call${call.error ? ' bad' : ''}`, call.t, call.d, `${call.name}(${call.args})`).dataset.call = i;
    });
    trace.network.forEach((r, i) => bar(`net${isBad(r) ? ' bad' : ''}`, r.t, r.d, `${r.method} ${r.url}`, 22 + i % 3 * 4));
    trace.console.forEach(c => bar(`dot ${consoleKind(c.level)}`, c.t, undefined, c.text));
    const steps = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300];
    const step = steps.find(s => end / s <= 12) || 600;
    for (let t = step; t < end - step / 3; t += step) {
      const mark = make('span', '', step < 1 ? `${t.toFixed(2)} s` : `${Math.round(t)} s`);
      mark.style.left = percent(t);
      byId('ruler').append(mark);
    }
  }

  function callList() {
    const list = byId('calls');
    byId('call-count').textContent = trace.calls.length;
    trace.calls.forEach((call, i) => {
      const row = make('li', `${call.error ? 'bad' : ''}${call.d === null ? ' running' : ''}`);
      row.id = `call-${i}`;
      row.setAttribute('role', 'option');
      row.setAttribute('aria-selected', 'false');
      const what = make('span', 'what');
      what.append(make('b', '', call.name), make('span', 'args', `(${call.args})`));
      what.title = `${call.name}(${call.args})`;
      row.append(make('span', 'n', call.n), what, make('span', 'took', took(call.d)));
      if (call.error) row.append(make('span', 'error', call.error));
      row.addEventListener('click', () => select(i));
      row.addEventListener('mouseenter', () => show(endOf(call), i));
      list.append(row);
    });
    list.addEventListener('mouseleave', () => show(time, selected));
    if (!trace.calls.length) list.append(make('p', 'empty', 'The test made no call to this page.'));
  }

  const endOf = call => call.d === null ? end : call.t + call.d;
  const frameAt = t => {
    let found = null;
    for (const frame of trace.frames) {
      if (frame.t > t + 0.15 && found) break;
      found = frame;
    }
    return found;
  };
  const callAt = t => {
    let found = -1;
    trace.calls.forEach((call, i) => { if (call.t <= t) found = i; });
    return found;
  };

  function select(i, reveal = true) {
    if (!trace.calls.length) return;
    selected = Math.min(Math.max(i, 0), trace.calls.length - 1);
    time = endOf(trace.calls[selected]);
    if (reveal) byId(`call-${selected}`).scrollIntoView({block: 'nearest'});
    byId('calls').setAttribute('aria-activedescendant', `call-${selected}`);
    for (const row of byId('calls').children) row.setAttribute('aria-selected', String(row.id === `call-${selected}`));
    show(time, selected);
    panel();
  }

  function show(t, i) {
    const call = trace.calls[i], cursor = byId('cursor');
    cursor.hidden = false;
    const track = byId('lanes').getBoundingClientRect(), box = byId('timeline').getBoundingClientRect();
    cursor.style.left = `${track.left - box.left + Math.min(Math.max(t / end, 0), 1) * track.width}px`;
    cursor.classList.toggle('left', t / end > 0.9);
    byId('cursor-time').textContent = seconds(t);
    for (const bar of document.querySelectorAll('#lanes .call')) bar.classList.toggle('on', bar.dataset.call === String(i));
    byId('moment').textContent = call ? `${seconds(t)}  after ${call.n}  ${call.name}` : seconds(t);
    const frame = frameAt(t), page = documentAt(i);
    const asDocument = Boolean(page) && (mode === 'document' || !frame);
    byId('show-frame').setAttribute('aria-pressed', String(!asDocument));
    byId('show-document').setAttribute('aria-pressed', String(asDocument));
    byId('document').hidden = !asDocument;
    byId('frame').hidden = asDocument || !frame;
    byId('nothing').hidden = asDocument || Boolean(frame);
    byId('nothing').textContent = 'Nothing was recorded of the page at this moment.';
    if (asDocument) {
      showDocument(page);
    } else if (frame) {
      const source = `data:image/jpeg;base64,${frame.jpeg}`;
      if (byId('frame').src !== source) byId('frame').src = source;
      byId('frame').alt = `The page after ${seconds(frame.t)}`;
    }
  }

  function documentAt(i) {
    for (let k = i; k >= 0; k--) {
      const page = trace.snapshots[trace.calls[k].snapshot];
      if (page) return page;
    }
    return null;
  }

  function showDocument(page) {
    const inside = byId('document'), box = byId('view'), width = page.width || 800, height = page.height || 600;
    const scale = Math.min((box.clientWidth - 20) / width, (box.clientHeight - 20) / height, 1.5);
    inside.style.cssText = `width:${width}px;height:${height}px;transform:scale(${scale.toFixed(4)})`;
    if (inside.srcdoc !== page.html) inside.srcdoc = page.html;
  }

  const tabs = {
    source: {title: 'Source', fill: source},
    console: {title: 'Console', fill: consoleTable, count: () => trace.console.length, bad: () => trace.console.some(c => consoleKind(c.level) === 'bad')},
    network: {title: 'Network', fill: networkTable, count: () => trace.network.length, bad: () => trace.network.some(isBad)},
    notes: {title: 'Notes', fill: notes, count: () => trace.notes.length || ''},
  };

  function tabBar() {
    for (const [name, {title, count, bad}] of Object.entries(tabs)) {
      const button = make('button', '', title);
      button.type = 'button';
      button.id = `tab-${name}`;
      button.setAttribute('role', 'tab');
      if (count) button.append(make('span', `count${bad && bad() ? ' bad' : ''}`, count()));
      button.addEventListener('click', () => { tab = name; panel(); });
      byId('tabs').append(button);
    }
  }

  function panel() {
    for (const button of byId('tabs').children) {
      button.setAttribute('aria-selected', String(button.id === `tab-${tab}`));
    }
    const place = byId('panel');
    place.setAttribute('aria-labelledby', `tab-${tab}`);
    place.replaceChildren(...tabs[tab].fill());
    const at = place.querySelector('.at, .failing');
    if (at) at.scrollIntoView({block: 'center'});
  }

  function source() {
    const failure = trace.failure;
    if (!failure) return [make('p', 'empty', 'The test passed: there is no failing line.')];
    const call = trace.calls[selected];
    const lines = make('div', 'source');
    failure.lines.forEach((text, i) => {
      const number = failure.first + i;
      const row = make('div', number === failure.line ? 'failing' : call && call.line === number ? 'at' : '');
      row.append(make('span', 'no', number), make('span', '', text || ' '));
      lines.append(row);
    });
    const error = make('pre', '', failure.error);
    error.id = 'error';
    return [error, make('p', 'source-path', `${failure.path}:${failure.line}`), lines];
  }

  function table(head, rows, empty) {
    if (!rows.length) return [make('p', 'empty', empty)];
    const node = make('table'), top = make('tr');
    head.forEach(title => top.append(make('th', '', title)));
    node.append(top);
    rows.forEach(({t, kind, cells}) => {
      const row = make('tr', `${kind}${t > time + 0.001 ? ' later' : ''}`);
      cells.forEach(([className, text, extra]) => {
        const cell = make('td', className, text);
        if (extra) cell.append(make('span', 'place', `  ${extra}`));
        row.append(cell);
      });
      row.addEventListener('click', () => { time = t; selected = callAt(t); show(t, selected); });
      node.append(row);
    });
    return [node];
  }

  function consoleTable() {
    return table(['time', 'level', 'message'], trace.console.map(c => ({
      t: c.t, kind: consoleKind(c.level),
      cells: [['time', seconds(c.t)], ['level', c.level], ['text', c.text, c.url ? `${c.url}:${c.line}` : '']],
    })), 'The console is empty.');
  }

  function networkTable() {
    return table(['time', 'method', 'status', 'took', 'bytes', 'kind', 'address'], trace.network.map(r => ({
      t: r.t, kind: isBad(r) ? 'bad' : '',
      cells: [['time', seconds(r.t)], ['', r.method], ['status', r.failure || r.status || (r.canceled ? 'given up' : '…')], ['num', took(r.d)],
        ['num', r.cached ? 'cache' : r.size.toLocaleString()], ['', r.kind.toLowerCase()], ['text', r.url]],
    })), 'The page made no request.');
  }

  function notes() {
    if (!trace.notes.length) return [make('p', 'empty', 'Nothing was cut, and nothing is missing.')];
    const list = make('ul');
    trace.notes.forEach(note => list.append(make('li', '', note)));
    return [list];
  }

  function timeAt(event) {
    const track = byId('lanes').getBoundingClientRect();
    return Math.min(Math.max((event.clientX - track.left) / track.width, 0), 1) * end;
  }

  function stepFrame(direction) {
    const index = trace.frames.indexOf(frameAt(time));
    const frame = trace.frames[Math.min(Math.max(index + direction, 0), trace.frames.length - 1)];
    if (!frame) return;
    time = frame.t;
    selected = callAt(time);
    mode = 'frame';
    show(time, selected);
  }

  function setMode(value) {
    mode = value;
    show(time, selected);
  }

  function switchTheme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  }

  const keys = {
    ArrowDown: () => select(selected + 1), j: () => select(selected + 1),
    ArrowUp: () => select(selected - 1), k: () => select(selected - 1),
    Home: () => select(0), End: () => select(trace.calls.length - 1),
    ArrowLeft: () => stepFrame(-1), ArrowRight: () => stepFrame(1),
    d: () => setMode(mode === 'frame' ? 'document' : 'frame'), t: switchTheme,
  };
  Object.keys(tabs).forEach((name, i) => { keys[String(i + 1)] = () => { tab = name; panel(); }; });

  heading();
  timeline();
  callList();
  tabBar();
  byId('show-frame').addEventListener('click', () => setMode('frame'));
  byId('show-document').addEventListener('click', () => setMode('document'));
  byId('theme').addEventListener('click', switchTheme);
  byId('timeline').addEventListener('mousemove', event => { const t = timeAt(event); show(t, callAt(t)); });
  byId('timeline').addEventListener('mouseleave', () => show(time, selected));
  byId('timeline').addEventListener('click', event => {
    const t = timeAt(event);
    select(Math.max(callAt(t), 0));
    time = t;
    show(t, selected);
  });
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const scrolls = event.target.id === 'panel' && event.key.startsWith('Arrow');
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || scrolls) return;
    event.preventDefault();
    act();
  });
  addEventListener('resize', () => show(time, selected));

  const failed = trace.calls.findIndex(call => call.error);
  select(failed >= 0 && trace.failure ? failed : trace.calls.length - 1);
  if (!trace.calls.length) { show(end, -1); panel(); }
  document.documentElement.dataset.ready = 'true';
})();
