// What may be written after --bind, and what it means.
import { expect, test } from 'vitest'
import { formatUrl, parseAddress, type ServeAddress, tryAddress } from '../../src/address.ts'

const tcp = (host: string, port: number): ServeAddress => ({ type: 'tcp', host, port })

const good: [string, ServeAddress, string][] = [
  ['127.0.0.1:8000', tcp('127.0.0.1', 8000), 'http://127.0.0.1:8000'],
  ['localhost:8000', tcp('localhost', 8000), 'http://localhost:8000'],
  ['my-host.example.com:80', tcp('my-host.example.com', 80), 'http://my-host.example.com:80'],
  [':8080', tcp('0.0.0.0', 8080), 'http://0.0.0.0:8080'],
  ['8080', tcp('0.0.0.0', 8080), 'http://0.0.0.0:8080'],
  ['0', tcp('0.0.0.0', 0), 'http://0.0.0.0:0'],
  ['65535', tcp('0.0.0.0', 65535), 'http://0.0.0.0:65535'],
  ['localhost', tcp('localhost', 8000), 'http://localhost:8000'],
  ['10.0.0.1', tcp('10.0.0.1', 8000), 'http://10.0.0.1:8000'],
  ['3com.example:80', tcp('3com.example', 80), 'http://3com.example:80'],
  ['[::1]:8000', tcp('::1', 8000), 'http://[::1]:8000'],
  ['[::]', tcp('::', 8000), 'http://[::]:8000'],
  ['unix:/run/app.sock', { type: 'unix', path: '/run/app.sock' }, 'unix:/run/app.sock'],
  ['unix:///run/app.sock', { type: 'unix', path: '/run/app.sock' }, 'unix:/run/app.sock'],
  ['unix:app.sock', { type: 'unix', path: 'app.sock' }, 'unix:app.sock'],
  ['fd://3', { type: 'fd', fd: 3 }, 'fd://3'],
]

test.each(good)('%s is understood', (text, address, url) => {
  expect(parseAddress(text)).toEqual(address)
  expect(formatUrl(address)).toBe(url)
})

test.each([
  '',
  ':',
  ':port',
  'localhost:',
  'localhost:http',
  'localhost:65536',
  '99999',
  '-1',
  '80a',
  '256.1.1.1:80',
  '1.2.3:80',
  '::1',
  '::1:8000',
  '[::1',
  '[::1]8000',
  '[localhost]:80',
  '/run/app.sock',
  'http://localhost:80',
  'unix:',
  'fd://',
  'fd://x',
  'two words:80',
])('"%s" is refused, with what would be right', (text) => {
  expect(tryAddress(text)).toBeUndefined()
  expect(() => parseAddress(text, '--bind')).toThrow(
    `--bind is ${JSON.stringify(text)}; it must be host:port`,
  )
})

test('a TLS server is reached at https', () => {
  expect(formatUrl(tcp('localhost', 443), 'https')).toBe('https://localhost:443')
})
