/** What is said of options that are wrong: what was given, what is taken, which word was meant. */
import { defineContract, gate } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { engineOptionsSchema, pluginOptionsSchema } from '../../dist/contracts/option-schemas.js'
import { parseOptions, parsePluginEntry } from '../../dist/contracts/parse-options.js'
import { parseServeConfig } from '../../dist/contracts/serve-config.js'

const contract = defineContract('shop', 1, { onOrder: gate(z.object({ total: z.number() })) })
const plugin = definePlugin(contract, { name: 'greet', setup: () => ({}) })

function refusalOf(run: () => unknown): { code?: string; message: string; path?: unknown } {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  throw new Error('it was accepted')
}

describe('an entry of plugins', () => {
  it.each<[string, unknown, RegExp]>([
    ['a plugin', plugin, /is a plugin itself \(greet\).* from: '\.\/plugins\/greet\.js'/],
    ['a module that was imported', { default: plugin }, /is a module with a plugin in it \(greet\).* from: /],
    ['a path', './greet.js', /must be an object, got a string; write \{ from: "\.\/greet\.js" \}/],
    ['a URL', new URL('file:///greet.js'), /must be an object, got a URL; write \{ from: "file:\/\/\/greet\.js" \}/],
    ['a function', () => plugin, /must be an object like .* got a function/],
    ['an array', [plugin], /must be an object like .* got an array/],
    ['null', null, /must be an object like .* got null/],
    ['undefined', undefined, /must be an object like .* got undefined/],
    ['a promise', Promise.resolve(plugin), /from: is missing|got a Promise/],
    ['a definition as from', { from: plugin }, /\.from: must be the path, .* got a plugin itself \(greet\)/],
    ['a module as from', { from: { default: plugin } }, /\.from: must be the path, .* got a module with a plugin/],
    ['a function as from', { from: () => plugin }, /\.from: must be the path, .* got a function/],
    ['nothing as from', { name: 'x' }, /\.from: is missing: it must be the path/],
    ['a path under another name', { path: './x.js' }, /has no option "path"; did you mean "from"\?/],
  ])('that is %s is explained', (_what, entry, message) => {
    const error = refusalOf(() => parsePluginEntry(pluginOptionsSchema, entry, 'plugins[0]'))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(error.message).toMatch(message)
    expect(error.message).not.toMatch(/Invalid input/)
  })

  it.each<[object, string]>([
    [
      { onFailure: 'reject' },
      'onFailure: must be "deny", "allow", "raise" or an object, got "reject"; did you mean "deny"?',
    ],
    [{ onFailure: { timout: 'deny' } }, 'onFailure: has no option "timout"; did you mean "timeout"?'],
    [
      { onFailure: { timeout: 'denny' } },
      'onFailure.timeout: must be "deny", "allow" or "raise", got "denny"; did you mean "deny"?',
    ],
    [{ timout: 5 }, 'has no option "timout"; did you mean "timeoutMs"?'],
    [{ trust: 'untrustd' }, 'trust: must be "trusted" or "untrusted", got "untrustd"; did you mean "untrusted"?'],
    [{ limits: { memoryMB: 64 } }, 'limits: has no option "memoryMB"; did you mean "memoryMb"?'],
    [{ limits: { memoryMb: '64' } }, 'limits.memoryMb: must be a number, got a string'],
    [{ limits: { memoryMb: 1 } }, 'limits.memoryMb: must be at least 8, got 1'],
    [{ sample: 2 }, 'sample: must be at most 1, got 2'],
    [{ timeoutMs: 0 }, 'timeoutMs: must be above 0, got 0'],
    [
      { match: { total: { above: 5 } } },
      'match.total: has no option "above"; it takes eq, not, in, gt, gte, lt, lte, prefix, suffix, mqtt',
    ],
    [{ match: { total: {} } }, 'match.total: must be '],
    [{ services: 'publish' }, 'services: must be an array, got a string'],
  ])('with %o says what is taken', (options, message) => {
    const error = refusalOf(() => parsePluginEntry(pluginOptionsSchema, { from: './x.js', ...options }, 'plugins[0]'))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(error.message).toContain(`plugins[0]${message.startsWith('has') ? '' : '.'}`)
    expect(error.message).toContain(message)
  })
})

class Condition {
  readonly #prefix = 'adm'
  test = undefined
  get prefix() {
    return this.#prefix
  }
}

describe('a built-in object where one with named fields is meant', () => {
  const builtIns: [string, unknown][] = [
    ['a RegExp', /^adm/],
    ['a Set', new Set(['admin'])],
    ['a Map', new Map([['eq', 'admin']])],
    ['a Date', new Date(0)],
    ['a URL', new URL('http://x')],
    ['a Promise', Promise.resolve({ eq: 1 })],
    ['a WeakMap', new WeakMap()],
  ]
  const places: [string, (value: unknown) => object][] = [
    ['a condition', (value) => ({ match: { name: value } })],
    ['match', (value) => ({ match: value })],
    ['limits', (value) => ({ limits: value })],
    ['onFailure', (value) => ({ onFailure: value })],
    ['env', (value) => ({ env: value })],
  ]
  it.each(places.flatMap(([place, put]) => builtIns.map(([what, value]) => [place, what, put(value)] as const)))(
    'is refused as %s: %s',
    (_place, what, options) => {
      const error = refusalOf(() => parsePluginEntry(pluginOptionsSchema, { from: './x.js', ...options }, 'plugins[0]'))
      expect(error).toMatchObject({ code: 'OPTIONS_INVALID' })
      expect(error.message).toMatch(new RegExp(`must be .*got ${what}`))
    },
  )

  it('is refused for an engine as well, and a class of the user with fields that it takes is not', () => {
    const options = { contract, quarantine: new Map([['ratio', 1]]) }
    expect(refusalOf(() => parseOptions(engineOptionsSchema, options, 'options')).message).toMatch(
      /^options\.quarantine: must be a plain object, got a Map/,
    )
    class Limits {
      memoryMb = 64
    }
    expect(parseOptions(engineOptionsSchema, { contract, limits: new Limits() }, 'options').limits).toEqual({
      memoryMb: 64,
    })
    const condition = { from: './x.js', match: { name: new Condition() } }
    expect(refusalOf(() => parsePluginEntry(pluginOptionsSchema, condition, 'plugin')).message).toMatch(/match\.name/)
  })
})

describe('a misspelt key', () => {
  it.each<[string, () => unknown, RegExp]>([
    [
      'of an engine',
      () => parseOptions(engineOptionsSchema, { contract, onfailure: 'deny' }, 'options'),
      /did you mean "onFailure"\?/,
    ],
    [
      'of an engine, without a near one',
      () => parseOptions(engineOptionsSchema, { contract, colour: 1 }, 'options'),
      /has no option "colour"; it takes contract, plugins/,
    ],
    [
      'of a config file',
      () => parseServeConfig({ mqtt: { listn: [] } }, 'hookring.json'),
      /hookring\.json\.mqtt: has no option "listn"; did you mean "listen"\?/,
    ],
    [
      'in a list of a config file',
      () => parseServeConfig({ mqtt: { listen: [{ prot: 1883 }] } }, 'hookring.json'),
      /hookring\.json\.mqtt\.listen\[0\]: .*did you mean "port"\?/,
    ],
  ])('%s is named, with the nearest', (_what, run, message) => {
    expect(refusalOf(run).message).toMatch(message)
  })

  it('does not show texts that may be secrets', () => {
    const error = refusalOf(() =>
      parsePluginEntry(pluginOptionsSchema, { from: './x.js', timeoutMs: 'hunter2' }, 'plugin'),
    )
    expect(error.message).toBe('plugin.timeoutMs: must be a number, got a string')
  })
})
