/**
 * Attacks on whoever reads a plugin's source: files of the host taken into its bundle or into an error, and sources that never
 * end. Each comes in a folder of its own, below the one with the secrets.
 */
import type { Beside, ScriptAttack } from './corpus.js'

function source(name: string, code: string, beside: Beside = {}): ScriptAttack {
  return { kind: 'script', class: 'escape', name: `source: ${name}`, place: 'import', code, beside }
}

const taken = (name: string, what: string, beside: Beside = {}): ScriptAttack =>
  source(name, `//@import it from ${what}\nescaped = JSON.stringify(it)`, beside)

const endless = (name: string, code: string, beside: Beside = {}): ScriptAttack => ({
  ...source(name, code, beside),
  class: 'denial',
})

const manifest = (value: object) => ({ text: JSON.stringify(value) })

const readings: readonly ScriptAttack[] = [
  taken('a file as text', `'../secret.txt' with { type: 'text' }`),
  taken('a file as bytes', `'../secret.txt' with { type: 'bytes' }`),
  taken('the environment as text', `'/proc/self/environ' with { type: 'text' }`),
  taken('JSON above', `'../secret.json'`),
  taken('JSON above, as JSON', `'../secret.json' with { type: 'json' }`),
  taken('JavaScript above', `'../secret.js'`),
  taken('a file without extension', `'../secret'`),
  source('CommonJS above', `escaped = JSON.stringify(require('../secret.cjs'))`),
  source('a pattern', `escaped = JSON.stringify(await ((name) => import('../sec' + name + '.json'))('ret'))`),
  source('a pattern for require', `escaped = JSON.stringify(((name) => require('../sec' + name + '.json'))('ret'))`),
  taken('a link to JSON', `'./link.json'`, { 'link.json': { link: '../secret.json' } }),
  taken('a link to a folder', `'./up/secret.json'`, { up: { link: '..' } }),
  taken('a link to the environment', `'./environ.json'`, { 'environ.json': { link: '/proc/self/environ' } }),
  taken('a package that is a link', `'out/secret.json'`, { 'node_modules/out': { link: '../..' } }),
  taken('a package whose main file is elsewhere', `'far'`, {
    'node_modules/far/package.json': manifest({ main: '../../../secret.json' }),
  }),
  taken('a package whose package.json is a link', `'far'`, {
    'node_modules/far/package.json': { link: '../../../secret.json' },
  }),
  taken('a name of package.json', `'#far'`, { 'package.json': manifest({ imports: { '#far': '../secret.json' } }) }),
  taken('its own name', `'self/far'`, {
    'package.json': manifest({ name: 'self', exports: { './far': '../secret.json' } }),
  }),
  taken('what browsers replace', `'./own.js'`, {
    'own.js': { text: 'export default 1' },
    'package.json': manifest({ type: 'module', browser: { './own.js': '../secret.js' } }),
  }),
  taken('a path of tsconfig.json', `'mapped'`, {
    'tsconfig.json': manifest({ compilerOptions: { paths: { mapped: ['../secret.json'] } } }),
  }),
  taken('a tsconfig.json elsewhere', `'secret.json'`, {
    'tsconfig.json': manifest({ extends: './conf/tsconfig.json' }),
    'conf/tsconfig.json': manifest({ compilerOptions: { baseUrl: '../..' } }),
  }),
  taken('an error that quotes a file', `'./broken.js'`, { 'broken.js': { link: '../secret.txt' } }),
  taken('an error that quotes JSON', `'./broken.json'`, { 'broken.json': { link: '../secret.txt' } }),
]

const endlessSources: readonly ScriptAttack[] = [
  endless('a pipe', `//@import it from './pipe.js'\nescaped = it`, { 'pipe.js': { pipe: true } }),
  endless('a pipe in place of package.json', `//@import it from './own.js'\nescaped = it`, {
    'own.js': { text: 'export default 1' },
    'package.json': { pipe: true },
  }),
  endless('a pipe in place of tsconfig.json', '', { 'tsconfig.json': { pipe: true } }),
  endless('a device', `//@import it from './zero.js'\nescaped = it`, { 'zero.js': { link: '/dev/zero' } }),
  endless('a terminal', `//@import it from './tty.json'\nescaped = it`, { 'tty.json': { link: '/dev/ptmx' } }),
  endless('nested brackets', `//@import it from './deep.js'\nescaped = it`, {
    'deep.js': { repeated: '[', times: 6_000_000 },
  }),
  endless('nested brackets of JSON', `//@import it from './deep.json'\nescaped = it`, {
    'deep.json': { repeated: '[', times: 6_000_000 },
  }),
  endless('nested brackets of package.json', `//@import it from 'deep'\nescaped = it`, {
    'node_modules/deep/package.json': { repeated: '[', times: 6_000_000 },
  }),
  endless('a very long one', `//@import it from './long.js'\nescaped = it`, {
    'long.js': { repeated: '/*long*/', times: 25_000_000 },
  }),
]

export const sourceAttacks: readonly ScriptAttack[] = [...readings, ...endlessSources]
