// What is wrong with the page for somebody who does not see it, sees it badly, or has no mouse: a list of texts.
(() => {
  const wrong = [];
  const expect = (is, what) => is || wrong.push(what);
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const seen = node => node.checkVisibility({ visibilityProperty: true }) && node.getBoundingClientRect().width > 1;
  const shown = node => node.outerHTML.slice(0, 90);

  // Landmarks, names, headings.
  expect(document.documentElement.lang === 'en', 'the language is not told');
  expect(document.title.includes('LinK'), 'there is no title');
  expect(all('main').length === 1 && all('body > header').length === 1, 'the landmarks are not one header and one main');
  expect(all('h1').length === 1, 'there is not one h1');
  expect(all('[role=status], [aria-live]').length >= 2, 'changes are not announced');
  const ids = all('[id]').map(it => it.id);
  expect(new Set(ids).size === ids.length, 'an id is there twice');
  for (const it of all('[aria-labelledby], [aria-describedby]')) {
    for (const name of ['aria-labelledby', 'aria-describedby'].filter(name => it.hasAttribute(name))) {
      expect(document.getElementById(it.getAttribute(name)), `${shown(it)} has no ${name}`);
    }
  }
  for (const it of all('section, dialog, table')) expect(it.getAttribute('aria-labelledby'), `${shown(it)} has no name`);
  for (const it of all('button, select, input').filter(seen)) {
    const name = it.ariaLabel || (it.labels?.[0] ?? it).textContent.trim();
    expect(name, `${shown(it)} has no name`);
    expect(!it.ariaLabel || it.ariaLabel.startsWith(it.textContent.trim()), `${shown(it)} is called other than it says`);
    expect(it.getBoundingClientRect().height >= 24, `${shown(it)} is hard to hit`);
  }
  for (const it of all('svg')) expect(it.getAttribute('role') === 'img' && it.getAttribute('aria-label'), 'a picture has no text');
  expect(!all('[tabindex]').some(it => it.tabIndex > 0), 'the order of the keyboard is another than that of the page');

  // Tables, also where they are not drawn as such.
  for (const table of all('table')) {
    expect(all('thead th', table).every(it => it.scope === 'col' && it.role === 'columnheader'), 'a column has no header');
    for (const row of table.tBodies[0].rows) {
      expect(row.cells[0].scope === 'row' && row.cells[0].role === 'rowheader', `${shown(row)} has no header`);
      expect(row.cells.length === table.tHead.rows[0].cells.length, `${shown(row)} has other columns`);
    }
  }
  expect(document.documentElement.scrollWidth <= innerWidth, `wider than the screen: ${document.documentElement.scrollWidth}`);

  // Contrast (WCAG 2.2: 1.4.3 of text, 1.4.11 of the rest).
  const brush = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const light = colour => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...brush.getImageData(0, 0, 1, 1).data].map(it => it / 255)
      .map(it => it <= .04045 ? it / 12.92 : ((it + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const contrast = (...two) => {
    const [less, more] = two.map(light).sort((a, b) => a - b);
    return (more + .05) / (less + .05);
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const { backgroundColor } = getComputedStyle(node);
      if (!/^(transparent|rgba\(0, 0, 0, 0\))$/.test(backgroundColor)) return backgroundColor;
    }
    return 'white';
  };
  const enough = (least, what, ...two) =>
    expect(contrast(...two) >= least, `${what}: contrast ${contrast(...two).toFixed(2)} of ${two.join(' on ')}`);
  let texts = 0;
  for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || !seen(parent) || parent.closest('script, .heard')) continue;
    texts += 1;
    const style = getComputedStyle(parent), below = parent.previousElementSibling;
    const filled = parent.localName === 'text' && getComputedStyle(below).fill;
    if (filled) enough(4.5, node.data, style.fill, filled === 'none' ? behind(parent) : filled);
    else enough(4.5, node.data, style.color, behind(parent));
  }
  expect(texts > 50, 'there is no text');
  for (const it of all('svg rect[class*=hue]')) enough(3, 'a part of a timeline', getComputedStyle(it).fill, behind(it));
  for (const it of all('.host').filter(seen)) enough(3, 'the mark of a host', getComputedStyle(it, '::before').backgroundColor, behind(it));
  for (const it of all('button, select, input').filter(seen)) enough(3, shown(it), getComputedStyle(it).borderTopColor, behind(it.parentElement));
  return wrong;
})()
