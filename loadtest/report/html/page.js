for (const plot of document.querySelectorAll('.plot')) {
  const reading = plot.querySelector('.reading');
  for (const drawing of plot.querySelectorAll('.drawing')) {
    const cursor = drawing.querySelector('.cursor');
    const texts = new Map();
    // The titles would show a second time, as tooltips.
    for (const title of drawing.querySelectorAll('.hit > title')) {
      texts.set(title.parentNode, title.textContent);
      title.remove();
    }
    drawing.addEventListener('pointermove', (event) => {
      const text = texts.get(event.target);
      if (text === undefined) return;
      reading.textContent = text;
      cursor.setAttribute('transform', 'translate(' + event.target.dataset.x + ' 0)');
      cursor.setAttribute('visibility', 'visible');
    });
    drawing.addEventListener('pointerleave', () => {
      reading.textContent = '';
      cursor.setAttribute('visibility', 'hidden');
    });
  }
}
