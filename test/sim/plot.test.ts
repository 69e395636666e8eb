import test from 'ava';
import { svgPlot } from '../../lab/plot.js';

test('a plot has its axes with units, one path a series, and no number that is none', (t) => {
  const svg = svgPlot({
    title: 'a < b',
    x: { label: 'nodes', scale: 'logarithmic' },
    y: { label: 'kbit/s' },
    series: [
      {
        name: 'one',
        points: [
          [50, 0.5],
          [1000, 12],
        ],
      },
      {
        name: 'two',
        points: [
          [50, 3],
          [1000, Number.NaN],
          [2000, 4],
        ],
      },
    ],
  });
  t.is(svg.match(/stroke-width="2" stroke-dasharray="[^"]*"\/>\n/g)?.length, 2);
  t.true(svg.includes('>nodes<') && svg.includes('>kbit/s<') && svg.includes('a &#60; b'));
  t.false(svg.includes('NaN'));
  t.regex(svg, /prefers-color-scheme:dark/);
});
