// JSON as settings, arguments and files may have it: plausible, extreme and absurd.
import fc from 'fast-check'

const ODD = [
  ...[
    '',
    ' ',
    '-1',
    '0',
    '1',
    '1.5',
    '1e9',
    'auto',
    'off',
    'on',
    'true',
    'null',
    '-',
    '--',
    '0x10',
    '5s',
    '2m',
    '80%',
    '100mb',
  ],
  ...[
    '2-8',
    '8-2',
    '127.0.0.1',
    '127.0.0.1:0',
    ':8000',
    'unix:',
    'unix:/nowhere/x',
    '[::1]:80',
    'fd://3',
    '::',
    '/dev/null',
    '.',
    '..',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'a\nb',
    'a\0b',
    '\ud800',
    '\u202e',
    '💥',
    '${HOME}',
    '$(id)',
    '%s%n',
    'x'.repeat(500),
  ],
  ...['https://', 'http://a b', 'redis://x', 'root', 'nobody', '777', '0777', '999999999999'],
]
const NUMBERS = [0, -0, -1, 1, 0.5, 65_535, 65_536, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, 5e-324]

export const text: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...ODD),
  fc.string({ unit: 'binary', maxLength: 12 }),
)

const leaf = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, ...NUMBERS),
  text,
  fc.double(),
  fc.integer({ min: -10, max: 10 }),
)

export const json: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { arbitrary: leaf, weight: 4 },
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(text, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value
