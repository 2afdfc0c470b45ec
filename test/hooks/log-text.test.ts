import fc from 'fast-check'
import { expect, test } from 'vitest'
import { escapeForLog, hexPrefix, quoteForLog } from '../../dist/hooks/log-text.js'

test('no text puts a control, format or separator character into a line', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      expect(escapeForLog(text)).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
    }),
  )
})

test('no text ends its own quotes', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("'", '\\', 'a', '\n')), (parts) => {
      const inside = quoteForLog(parts.join('')).slice(1, -1)
      expect(inside.replace(/\\./g, '')).not.toContain("'")
    }),
  )
})

test('two different short texts never look the same', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      expect(quoteForLog(a) === quoteForLog(b)).toBe(a === b)
    }),
  )
})

test('a cut does not halve a character', () => {
  expect(escapeForLog('abc\u{1F600}def', 4)).toBe('abc...(5 more)')
  expect(escapeForLog('abc\u{1F600}def', 5)).toBe('abc\u{1F600}...(3 more)')
})

test('a key is shown by its first four bytes', () => {
  expect(hexPrefix(Uint8Array.of(0, 1, 0xab, 0xff, 5, 6))).toBe('0001abff')
  expect(hexPrefix(Uint8Array.of(9))).toBe('09')
})
