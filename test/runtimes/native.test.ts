/** Shared libraries behind the C ABI: their lives, what lanes of one process share, and which are refused. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { metricOf, refusalOf, until } from '../support/lab.js'
import { ACTS, because, compileLibrary, EXAMPLES, message, missing, open, scratch } from './c-abi-plugins.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const reason = missing('cc', 'koffi')

/** A library from a line or two of C. */
function library(name: string, source: string): string {
  const file = join(scratch(), `${name}.c`)
  writeFileSync(file, `#include "hookring_plugin.h"\n${source}\n`)
  return compileLibrary({ source: file, name })
}

/** A gate that rejects with a text. */
const saying = (text: string) => `
static int32_t gate(void *user_data, const CMessageEvent *event) { (void)user_data; (void)event; return HOOK_REJECT; }
static const uint8_t *why(void *user_data) { (void)user_data; return (const uint8_t *)"${text}"; }
HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable) {
  vtable->on_message_enqueue = gate;
  vtable->error_message = why;
  return PLUGIN_OK;
}`

/** A gate that rejects with what stands so many bytes before the end of mapped memory. */
const endless = (before: number) => `
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
static uint8_t *text;
static int32_t gate(void *user_data, const CMessageEvent *event) { (void)user_data; (void)event; return HOOK_REJECT; }
static const uint8_t *why(void *user_data) { (void)user_data; return text; }
HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable) {
  uint8_t *pages = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(pages + (1 << 19), 1 << 19);
  memset(pages, 'z', 1 << 19);
  text = pages + (1 << 19) - ${before};
  vtable->on_message_enqueue = gate;
  vtable->error_message = why;
  return PLUGIN_OK;
}`

const crossing = endless(0)
  .replace(/text = .*/, 'text = pages + 4096 - 50;')
  .replace(/memset.*/, "memset(pages, 'a', 4096 + 50); pages[4096 + 50] = 0;")

describe.skipIf(reason !== null)(because('a shared library', reason), () => {
  let acts = ''
  beforeAll(() => {
    acts = compileLibrary({ source: ACTS.source })
  })

  it('leaves slots null, and is not subscribed there', async () => {
    const limiter = compileLibrary({ source: EXAMPLES.limiter.source })
    const { engine, hooks } = await open({ plugins: [{ from: limiter }] })
    expect(engine.plugins.map(({ name, hooks }) => [name, hooks])).toEqual([['payload-limiter', ['onMessageEnqueue']]])
    expect(await hooks.onMessageEnqueue(message('continues', 65_537))).toEqual({
      kind: 'reject',
      plugin: 'payload-limiter',
      reason: 'payload too large: 65537 > 65536 bytes',
    })
  })

  it('that comes back late has cost its call, and keeps its lane', async () => {
    const { engine, hooks } = await open({ timeoutMs: 40, hangMs: 5000, plugins: [{ from: acts }] })
    expect(await hooks.onMessageEnqueue(message('blocksMs', 400))).toMatchObject({
      failure: { kind: 'timeout', plugin: 'acts' },
    })
    await until('the lane to be idle', async () => (await metricOf(engine, 'in_flight')) === 0)
    expect(await hooks.onMessageEnqueue(message('counts'))).toMatchObject({ reason: '2' })
    expect(await metricOf(engine, 'lane_restarts_total')).toBe(0)
  })

  it('is initialised and destroyed once in each lane, while what is static is shared by all of them', async () => {
    const trail = join(scratch(), 'trail')
    const counting = library(
      'counting',
      `#include <stdio.h>
static int inits;
static void tell(const char *what, int count) {
  FILE *trail = fopen("${trail}", "a");
  fprintf(trail, "%s %d\\n", what, count);
  fclose(trail);
}
static void destroy(void *user_data) { (void)user_data; tell("destroy", __atomic_fetch_sub(&inits, 1, __ATOMIC_SEQ_CST)); }
HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable) {
  tell("init", __atomic_add_fetch(&inits, 1, __ATOMIC_SEQ_CST));
  vtable->destroy = destroy;
  return PLUGIN_OK;
}`,
    )
    const { engine } = await open({ plugins: [{ from: counting, workers: 3 }] }, { keep: true })
    await engine.close()
    expect(readFileSync(trail, 'utf8').trim().split('\n').sort()).toEqual(
      [1, 2, 3].flatMap((count) => [`destroy ${count}`, `init ${count}`]).sort(),
    )
  })

  it('that was put in the place of another is the new one after a reload', async () => {
    const file = join(scratch(), 'changing.so')
    copyFileSync(library('one', saying('one')), file)
    const { engine, hooks } = await open({ plugins: [{ from: file }] })
    expect(await hooks.onMessageEnqueue(message('continues'))).toMatchObject({ reason: 'one' })
    renameSync(library('two', saying('two')), file)
    await engine.reload('changing')
    expect(await hooks.onMessageEnqueue(message('continues'))).toMatchObject({ reason: 'two' })
  })

  it('may say more than is passed on, in any bytes', async () => {
    const { hooks } = await open({ plugins: [{ from: library('odd', saying('\\xff\\xfe?')) }] })
    expect(await hooks.onMessageEnqueue(message('continues'))).toMatchObject({ reason: '\ufffd\ufffd?' })
  })

  it.each([
    ['at the end of its memory', 100, 100],
    ['that begins long before the end of its memory', 5_000, 382],
  ])('may give a reason without an end, %s: what is there is told', async (_, before, told) => {
    const { hooks } = await open({ plugins: [{ from: library(`endless${before}`, endless(before)) }] })
    const verdict = await hooks.onMessageEnqueue(message('continues'))
    expect(verdict).toMatchObject({ kind: 'reject', reason: expect.stringMatching(/^z+/) })
    expect((verdict as { reason: string }).reason.length).toBe(told)
  })

  it('may give a reason that goes on into the next page', async () => {
    const { hooks } = await open({ plugins: [{ from: library('crossing', crossing) }] })
    expect(await hooks.onMessageEnqueue(message('continues'))).toMatchObject({ reason: 'a'.repeat(100) })
  })

  describe('is refused', () => {
    const refused = (from: string) => refusalOf(open({ plugins: [{ from, name: 'odd' }] }, { keep: true }))

    it('when it is none', async () => {
      const file = join(scratch(), 'text.so')
      writeFileSync(file, 'not a library')
      expect(await refused(file)).toMatchObject({
        code: 'PLUGIN_IMPORT_FAILED',
        message: expect.stringContaining(file),
      })
    })

    it('without init', async () => {
      expect(
        await refused(library('empty', 'HOOKRING_EXPORT int other(void);\nint other(void) { return 1; }')),
      ).toMatchObject({
        code: 'PLUGIN_NO_EXPORT',
        message: expect.stringMatching(/exports no function qpc_plugin_init/),
      })
    })

    it('with the code that its init gave, and is not destroyed', async () => {
      const trail = join(scratch(), 'trail')
      const defines = { TRAIL: `"${trail}"`, INIT_CODE: -42 }
      expect(await refused(compileLibrary({ source: ACTS.source, defines }))).toMatchObject({
        code: 'PLUGIN_SETUP_FAILED',
        message: 'plugin odd: qpc_plugin_init returned -42',
      })
      expect(readFileSync(trail, 'utf8')).toBe('init\n')
    })

    it('when it is not trusted and nothing is around it', async () => {
      const plugins = [{ from: acts, trust: 'untrusted' as const }]
      expect(await refusalOf(open({ plugins }, { keep: true }))).toMatchObject({ code: 'UNTRUSTED_RUNTIME' })
    })
  })
})

it('a shared library without koffi is refused, with what to install', () => {
  const program = `
    import { register } from 'node:module'
    const hooks = "export async function resolve(name, context, next) { if (name === 'koffi') throw new Error('no koffi'); return next(name, context) }"
    register('data:text/javascript,' + encodeURIComponent(hooks))
    const { nativeRuntime } = await import('./dist/worker/runtimes/native/index.js')
    const place = { plugin: { name: 'p', url: 'file:///p.so' }, contract: { name: 'delivery', version: 1 }, hookpoints: [], named() {}, logger() {} }
    const error = await nativeRuntime.load(place).catch((error) => error)
    console.log(JSON.stringify({ code: error.code, message: error.message }))`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({
    code: 'KOFFI_MISSING',
    message: 'plugin p is a shared library, which takes koffi to load: install it (npm install koffi)',
  })
})

const rust = missing('rustc', 'koffi')
describe.skipIf(rust !== null)(because('a cdylib in Rust, as plugins for this vtable are written', rust), () => {
  it('loads unchanged', async () => {
    const file = join(scratch(), 'librust_plugin.so')
    const source = fileURLToPath(new URL('c/rust_plugin.rs', import.meta.url))
    const { status, stderr } = spawnSync('rustc', ['--crate-type=cdylib', '-O', '-o', file, source], {
      encoding: 'utf8',
    })
    expect([status, stderr]).toEqual([0, ''])
    const { engine, hooks } = await open({ plugins: [{ from: file, name: 'rusty' }] }, { keep: true })
    expect(await hooks.onMessageEnqueue(message('continues', 100))).toEqual({ kind: 'continue' })
    hooks.onAuth({ username: 'ada', success: false, failureReason: 'wrong password' })
    hooks.onBatchEnqueue({ events: [message('continues', 1), message('continues', 2)] })
    expect(await hooks.onMessageEnqueue(message('continues', 101))).toEqual({
      kind: 'reject',
      plugin: 'rusty',
      reason: '101 > 100; last login: ada (wrong password); batched 3 bytes',
    })
    await engine.close()
  })
})
