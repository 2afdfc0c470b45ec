import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compileFilter,
  containsFilter,
  type FilterLevels,
  FilterTree,
  filtersOverlap,
  isTopicFilter,
  isTopicName,
  matchesTopic,
  parseFilter,
  parseShare,
} from '../../dist/contracts/mqtt-topics.js'

describe('validity', () => {
  it.each([
    ['a', true],
    ['a/b', true],
    ['/', true],
    ['$SYS/uptime', true],
    ['a b/é', true],
    ['', false],
    ['a/+', false],
    ['a/#', false],
    ['a+', false],
    ['a\0', false],
    ['a\ud800', false],
  ])('%j is a topic name: %s', (topic, isOne) => {
    expect(isTopicName(topic)).toBe(isOne)
  })

  it.each([
    ['a/b', true],
    ['+/b/#', true],
    ['#', true],
    ['+', true],
    ['/#', true],
    ['$SYS/#', true],
    ['$share/g/a/#', true],
    ['$shared', true],
    ['', false],
    ['a/#/b', false],
    ['a#', false],
    ['a+/b', false],
    ['a\0', false],
    ['+/\0', false],
    ['\udfff', false],
    ['$share/g', false],
    ['$share/g/', false],
    ['$share//a', false],
    ['$share/g+/a', false],
    ['$share/g/a/#/b', false],
    ['$share/g\0/a', false],
  ])('%j is a topic filter: %s', (filter, isOne) => {
    expect(isTopicFilter(filter)).toBe(isOne)
    expect(compileFilter(filter) !== null).toBe(isOne)
  })

  it('what is longer than a string of MQTT is neither', () => {
    for (const character of ['a', 'é', '€', '😀']) {
      const bytes = Buffer.byteLength(character)
      const longest = character.repeat(Math.floor(65_535 / bytes))
      expect([isTopicName(longest), isTopicFilter(longest)]).toEqual([true, true])
      expect([isTopicName(longest + character), isTopicFilter(longest + character)]).toEqual([false, false])
    }
  })

  it('a shared subscription has a group and a filter', () => {
    expect(parseShare('$share/g/a/+')).toEqual({ group: 'g', filter: 'a/+' })
    expect(parseShare('$share/g//')).toEqual({ group: 'g', filter: '/' })
    for (const none of ['a/b', '$share', '$share/g', '$share//a', '$share/#/a']) expect(parseShare(none)).toBeNull()
    expect(matchesTopic(parseFilter('$share/g/a/+') as FilterLevels, 'a/b')).toBe(true)
  })
})

describe('matching', () => {
  it.each<[string, string[], string[]]>([
    ['a', ['a'], ['A', 'a/', '/a', 'a/b', 'b']],
    ['a/+', ['a/b', 'a/'], ['a', 'a/b/c']],
    ['a/#', ['a', 'a/', 'a/b', 'a/b/c'], ['ab', 'b/a']],
    ['#', ['a', '/', 'a/b'], ['$SYS', '$SYS/a']],
    ['+/a', ['/a', 'b/a'], ['$SYS/a', 'a']],
    ['+/#', ['a', 'a/b', '/'], ['$SYS/a']],
    ['$SYS/#', ['$SYS', '$SYS/a'], ['a']],
    ['$SYS/+', ['$SYS/a'], ['$SYS', '$SYS/a/b']],
    ['a/+/c', ['a//c', 'a/b/c'], ['a/c', 'a/b/c/d']],
  ])('%s', (filter, matching, others) => {
    const levels = parseFilter(filter) as FilterLevels
    const topics = [...matching, ...others]
    expect(topics.filter((topic) => matchesTopic(levels, topic))).toEqual(matching)
    expect(topics.filter(compileFilter(filter) as (topic: string) => boolean)).toEqual(matching)
  })
})

function sequences(levels: readonly string[], longest: number): string[] {
  let last = [...levels]
  const all = [...last]
  for (let length = 2; length <= longest; length += 1) {
    last = last.flatMap((head) => levels.map((level) => `${head}/${level}`))
    all.push(...last)
  }
  return all
}

it('containment and overlap of filters are what their topics say', () => {
  const topics = sequences(['', 'a', 'b', '$s'], 4).filter((topic) => topic !== '')
  const filters = sequences(['a', '$s', '+', '#'], 3)
    .map(parseFilter)
    .filter((levels): levels is FilterLevels => levels !== null)
  const matched = filters.map((filter) => new Set(topics.filter((topic) => matchesTopic(filter, topic))))
  filters.forEach((outer, i) => {
    filters.forEach((inner, j) => {
      const [wide, narrow] = [matched[i]!, matched[j]!]
      const shared = [...narrow].filter((topic) => wide.has(topic)).length
      expect([outer, inner, containsFilter(outer, inner)]).toEqual([outer, inner, shared === narrow.size])
      expect([outer, inner, filtersOverlap(outer, inner)]).toEqual([outer, inner, shared > 0])
    })
  })
})

describe('a tree of filters', () => {
  const level = fc.constantFrom('a', 'b', '', '$s')
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
  const filter = fc
    .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
    .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
    .filter(isTopicFilter)

  it('finds the filters that match, and no others, also after some were removed', () => {
    fc.assert(
      fc.property(fc.array(filter, { maxLength: 12 }), fc.array(filter, { maxLength: 6 }), topic, (all, gone, name) => {
        fc.pre(name !== '')
        const tree = new FilterTree()
        for (const text of all) tree.add(text)
        for (const text of gone) tree.delete(text)
        const left = [...new Set(all)].filter((text) => !gone.includes(text))
        const matching = left.filter((text) => matchesTopic(text.split('/'), name))
        expect(tree.match(name).sort()).toEqual(matching.sort())
      }),
    )
  })

  it('is empty when it has been cleared', () => {
    const tree = new FilterTree()
    tree.add('#')
    tree.clear()
    expect(tree.match('a')).toEqual([])
  })
})
