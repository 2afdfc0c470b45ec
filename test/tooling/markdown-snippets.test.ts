/** What the blocks of a page say of themselves: the harness of README's and docs/' snippets stands on it. */
import { describe, expect, test } from 'vitest'
import { isAsShown, readPage } from '../support/markdown-snippets.js'

const block = (info: string, text = 'x') => `\`\`\`${info}\n${text}\n\`\`\`\n`

describe('a block that does not say what is to be done with it is a problem', () => {
  test.each([
    ['without a language', '', 'without a language'],
    ['code that is neither a file nor a fragment', 'ts', 'neither run, checked nor marked'],
    ['code of an unknown language', 'coffee', 'neither run, checked nor marked'],
    ['a fragment with a name', 'ts a.ts fragment', 'neither run, checked nor marked'],
    ['an unknown word', 'ts a.ts runs', 'says nothing known'],
    ['two words', 'ts a.ts run test', 'one of run, test'],
    ['skipped without a reason', 'sh skip', 'skip without a comment'],
  ])('%s', (_, info, problem) => {
    const { problems, snippets } = readPage(`text\n\n${block(info)}`)
    expect(problems).toEqual([expect.stringContaining(problem)])
    expect(problems[0]).toMatch(/^3: /)
    expect(snippets).toEqual([])
  })
})

describe('a block that says so is taken', () => {
  test.each([
    ['ts shop.ts', 'write', 'shop.ts'],
    ['ts shop.ts {1,3-4}', 'write', 'shop.ts'],
    ['js server.mjs run', 'run', 'server.mjs'],
    ['js server.mjs serve port=80', 'serve', 'server.mjs'],
    ['ts fragment', 'fragment', null],
    ['sh', 'shell', null],
    ['sh serve', 'serve', null],
    ['text', 'show', null],
    ['text output', 'output', null],
    ['json', 'show', null],
    ['json a.json', 'write', 'a.json'],
    ['yaml', 'show', null],
  ])('%s', (info, use, file) => {
    const { problems, snippets } = readPage(block(info))
    expect(problems).toEqual([])
    expect(snippets).toEqual([expect.objectContaining({ use, file, text: 'x\n' })])
  })
})

test('comments give a fragment its context, a skip its reason, a page its hidden files, what it builds on and needs', () => {
  const { snippets, hidden, builtOn, needs, problems } = readPage(
    [
      '<!-- files of: a.md, b.md -->',
      '<!-- needs: redis-server, mosquitto -->',
      '<!-- file x.mjs\nexport {}\n-->',
      `<!-- context\nlet a = 1\n-->\n\n${block('ts fragment')}`,
      block('ts fragment'),
      `<!-- not run: no reason -->\n${block('sh skip')}`,
    ].join('\n'),
  )
  expect(problems).toEqual([])
  expect(builtOn).toEqual(['a.md', 'b.md'])
  expect(needs).toEqual(['redis-server', 'mosquitto'])
  expect(hidden).toEqual({ 'x.mjs': 'export {}\n' })
  expect(snippets.map(({ context }) => context)).toEqual(['let a = 1', null, null])
})

test('an indented block loses its indentation', () => {
  expect(readPage('1. one\n\n   ```text\n   a\n     b\n   ```\n').snippets[0]?.text).toBe('a\n  b\n')
})

test.each([
  ['a\nb\n', 'a\nb\n', true],
  ['a\nb\n', 'a\n', false],
  ['a\n', 'a\nb\n', false],
  ['took … ms\n', 'took 12 ms\n', true],
  ['took … ms\n', 'took 12 s\n', false],
  ['…\nend\n', 'a\nb\nend\n', true],
  ['…\nend\n', 'end\n', true],
  ['a.c\n', 'abc\n', false],
])('shown %j, printed %j: %j', (shown, printed, isSame) => {
  expect(isAsShown(shown, printed)).toBe(isSame)
})
