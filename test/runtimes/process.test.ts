/** The process boundary: how children die and are replaced, what they cannot reach, what is left of them (nothing). */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { PluginOptions } from 'hookring'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { actor, fixture, type Lab, type LabOptions, openLab, refusalOf, until } from '../support/lab.js'
import { isProgram, noSandbox, pluginProcesses } from '../support/processes.js'

const subject = (options: Partial<PluginOptions> = {}): PluginOptions => ({
  from: fixture('process/subject.mjs'),
  boundary: 'process',
  trust: 'untrusted',
  runtime: 'module',
  timeoutMs: 2_000,
  ...options,
})

const open = (options: Partial<PluginOptions> = {}, engine: LabOptions = {}): Promise<Lab> =>
  openLab({ plugins: [subject(options)], spares: 1, ...engine })

/** What the plugin found when it did what `text` says. */
async function found({ hooks }: Lab, text: string): Promise<string> {
  const verdict = await hooks.onGate({ text })
  if (verdict.failure !== undefined) return verdict.failure.message
  return verdict.kind === 'reject' ? verdict.reason : verdict.kind
}

/** The plugin answers again, in a new process. */
async function servesAgain({ hooks, heard, said }: Lab): Promise<void> {
  await heard('laneReplaced')
  expect(await hooks.onGate({ text: 'continues' })).toEqual({ kind: 'continue' })
  expect(said.zombie).toEqual([])
}

describe.skipIf(noSandbox !== null)(
  `the process boundary${noSandbox === null ? '' : ` (skipped: ${noSandbox})`}`,
  () => {
    // Asked last, when the engines are closed.
    beforeEach(({ onTestFinished }) => {
      onTestFinished(() => until('no process to be left', () => pluginProcesses().length === 0))
    })

    it.each([
      ['a segmentation fault', 'segfault', 'crash', /SIGSEGV/],
      ['an abort', 'abort', 'crash', /SIG/],
      ['an exit', 'exit', 'exit', /code 7/],
      ['a heap that grows', 'hoard', 'memory', /process/],
      ['buffers that grow', 'buffers', undefined, /process/],
      ['shared buffers that grow', 'shared', undefined, /process/],
      ['one huge allocation', 'huge', 'memory', /process/],
    ])('%s of the child is a crash of its call, and the plugin is there again', async (_what, act, reason, says) => {
      const lab = await open({ timeoutMs: 10_000 })
      const verdict = await lab.hooks.onGate({ text: act })
      if (reason === undefined) {
        // An allocation that fails may be thrown, and the plugin lives.
        expect(verdict).toMatchObject({ kind: 'reject', failure: { kind: expect.stringMatching(/crash|error/) } })
        if (verdict.kind === 'reject' && verdict.failure?.kind === 'crash') await lab.heard('laneReplaced')
        return
      }
      expect(verdict).toMatchObject({
        kind: 'reject',
        plugin: 'subject',
        failure: { kind: 'crash', hookpoint: 'onGate' },
      })
      await lab.heard('laneReplaced')
      expect(lab.said.laneReplaced).toEqual([
        expect.objectContaining({
          reason,
          plugin: 'subject',
          hookpoint: 'onGate',
          message: expect.stringMatching(says),
        }),
      ])
      await servesAgain(lab)
    })

    it.each([
      ['an endless loop', 'loop'],
      ['a builtin that nothing interrupts', 'wedge'],
    ])('%s is a timeout of its call, and then the end of the child: no zombie is left', async (_what, act) => {
      const lab = await open({ timeoutMs: 250 }, { hangMs: 50 })
      expect(await lab.hooks.onGate({ text: act })).toMatchObject({ kind: 'reject', failure: { kind: 'timeout' } })
      await lab.heard('laneReplaced')
      expect(lab.said.laneReplaced).toEqual([
        expect.objectContaining({ reason: 'hang', plugin: 'subject', hookpoint: 'onGate' }),
      ])
      await until('it to serve', async () => (await lab.hooks.onGate({ text: 'continues' })).kind === 'continue')
      expect(await lab.metric('zombies')).toBe(0)
    })

    it('a loop between calls is found by the next call', async () => {
      const lab = await open({ timeoutMs: 250 }, { hangMs: 50 })
      await lab.hooks.onGate({ text: 'loop later' })
      await sleep(20)
      expect(await lab.hooks.onGate({ text: 'continues' })).toMatchObject({ failure: { kind: 'timeout' } })
      await lab.heard('laneReplaced')
      expect(lab.said.laneReplaced).toMatchObject([{ reason: 'hang', plugin: 'subject' }])
    })

    it('a loop behind a promise is found at the deadline of its call', async () => {
      const lab = await open({ timeoutMs: 250 }, { hangMs: 200 })
      expect(await lab.hooks.onGate({ text: 'wait, then loop' })).toMatchObject({ failure: { kind: 'timeout' } })
      await sleep(200)
      // The deadline of a call that waits is where its child is asked for a sign of life.
      await lab.hooks.onGate({ text: 'continues' })
      await lab.heard('laneReplaced')
      expect(lab.said.laneReplaced).toMatchObject([{ reason: 'hang', plugin: 'subject' }])
    })

    it('a crash during setup is said when the engine is made, and names the plugin', async () => {
      const error = await refusalOf(open({ config: { setup: 'segfault' } }))
      expect(error).toMatchObject({ code: 'PLUGIN_CRASHED', plugin: 'subject' })
      expect(error.message).toMatch(/SIGSEGV/)
    })

    it('a setup that does not return is ended with its process', async () => {
      const error = await refusalOf(open({ config: { setup: 'loop' } }, { setupTimeoutMs: 1_000 }))
      expect(error).toMatchObject({ code: 'PLUGIN_SETUP_TIMEOUT', plugin: 'subject' })
    })

    it.each([
      'forges an answer',
      'forges a kind',
      'forges a length',
      'forges nothing',
      'forges logs',
      'forges its manifest',
    ])('a plugin that %s is found out: its process and its lane are replaced', async (act) => {
      const lab = await open({ timeoutMs: 5_000 })
      await lab.hooks.onGate({ text: act })
      await lab.heard('laneReplaced')
      expect(lab.said.laneReplaced).toMatchObject([{ reason: 'violation', plugin: 'subject' }])
      expect(await lab.metric('protocol_violations_total')).toBe(1)
      await servesAgain(lab)
    })

    it('a plugin that closes its pipe ends its own process', async () => {
      const lab = await open()
      expect(await lab.hooks.onGate({ text: 'closes its pipe' })).toMatchObject({ failure: { kind: 'crash' } })
      await servesAgain(lab)
    })

    it('what a plugin shouts past the pipe is logged in bounds, and holds nobody up', async () => {
      const lab = await open({ timeoutMs: 20_000 })
      expect(await lab.hooks.onGate({ text: 'shouts' })).toEqual({ kind: 'continue' })
      const shouts = lab.lines.filter(({ message }) => message.startsWith('shout'))
      expect(shouts.length).toBeGreaterThan(0)
      expect(shouts.length).toBeLessThan(1_000)
      expect(shouts[0]).toMatchObject({ level: 'error', fields: { plugin: 'subject' } })
    })

    describe('keeps from a plugin', () => {
      it.each([
        ['files of the host', 'files', /ERR_ACCESS_DENIED|ENOENT/],
        ['folders of the host', 'folder', /ERR_ACCESS_DENIED/],
        ['its own file', 'plugin', /ERR_ACCESS_DENIED|ENOENT/],
        ['writing', 'writes', /ERR_ACCESS_DENIED|EROFS/],
        ['other programs', 'spawns', /ERR_ACCESS_DENIED/],
        ['threads', 'threads', /ERR_ACCESS_DENIED/],
        ['addons', 'addons', /ERR_DLOPEN_DISABLED|ERR_ACCESS_DENIED/],
        ['network interfaces', 'interfaces', /^(?:lo)?$|uv_interface_addresses/],
        ['the environment of the server', 'env', /^\{"PWD":"\/"\}$/],
        ['processes of the host', `host: ${process.pid}`, /ESRCH/],
      ])('%s', async (_what, act, refused) => {
        process.env.HOOKRING_TEST_SECRET = 'not for plugins'
        onTestFinished(() => void delete process.env.HOOKRING_TEST_SECRET)
        expect(await found(await open(), act)).toMatch(refused)
      })

      it('the network, servers on this machine included', async () => {
        let connections = 0
        const server = createServer(() => {
          connections += 1
        }).listen(0, '127.0.0.1')
        await once(server, 'listening')
        onTestFinished(() => void server.close())
        const { port } = server.address() as AddressInfo
        expect(await found(await open(), `connects: ${port}`)).toMatch(
          /EPERM|ENETUNREACH|ECONNREFUSED|ERR_ACCESS_DENIED/,
        )
        expect(connections).toBe(0)
      })
    })

    it('gives a plugin of the environment what the operator names', async () => {
      process.env.HOOKRING_TEST_REGION = 'north'
      onTestFinished(() => void delete process.env.HOOKRING_TEST_REGION)
      expect(await found(await open({ env: ['HOOKRING_TEST_REGION'] }), 'env')).toBe(
        '{"HOOKRING_TEST_REGION":"north","PWD":"/"}',
      )
      expect(await found(await open({ env: { LEVEL: 'low' } }), 'env')).toBe('{"LEVEL":"low","PWD":"/"}')
    })

    it('ends wedged children when the engine closes', async () => {
      const lab = await open({ timeoutMs: 50 }, { hangMs: 60_000, shutdownTimeoutMs: 200 })
      await lab.hooks.onGate({ text: 'wedge' })
      expect(pluginProcesses().length).toBeGreaterThan(0)
      await lab.engine.close()
      await until('no process to be left', () => pluginProcesses().length === 0, 2_000)
    })

    it('ends wedged children when the host is killed', async () => {
      const host = spawn(process.execPath, [fileURLToPath(fixture('process/host.mjs'))], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(host.stdout, 'data')
      const children = pluginProcesses(host.pid)
      expect(children.length).toBeGreaterThan(0)
      host.kill('SIGKILL')
      await once(host, 'exit')
      await until('its children to be gone', () => !children.some(isProgram), 5_000)
    })

    const asInit = ['-Urpf', '--mount-proc', process.execPath]
    const canBeInit = spawnSync('unshare', [...asInit, '--version']).status === 0
    it.skipIf(!canBeInit)('leaves no dead process to a server that is process 1, as in a container', async () => {
      const server = spawn('unshare', [...asInit, fileURLToPath(fixture('process/as-init.mjs'))], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      onTestFinished(() => void server.kill('SIGKILL'))
      const [said] = await once(server.stdout, 'data')
      expect(JSON.parse(said)).toEqual({ pid: 1, dead: [] })
    })

    it('is shared by the plugins of a bulkhead, one process for each lane', async () => {
      const shared = { bulkhead: 'both', boundary: 'process', timeoutMs: 5_000 } as const
      const { hooks } = await openLab({
        plugins: [actor('first', { ...shared, workers: 2 }), actor('second', shared)],
      })
      const running = pluginProcesses().filter((pid) => !pluginProcesses(pid).some(isProgram))
      expect(running).toHaveLength(2)
      expect(await hooks.onTransform({ text: 'e', acts: { first: 'marks', second: 'marks' } })).toMatchObject({
        event: { text: 'e+first+second' },
      })
    })

    it('hands a call’s trace, deadline and name to the plugin, and its log lines to the host', async () => {
      const { hooks, line } = await openLab({ plugins: [actor('teller', { boundary: 'process', timeoutMs: 5_000 })] })
      await hooks.onGate({ id: 7, text: 'é', acts: { teller: 'tells something' } }, { traceId: 'trace-é' })
      expect(await line(({ message }) => message === 'something')).toMatchObject({
        level: 'info',
        fields: { plugin: 'teller', id: 7, text: 'é' },
      })
      await hooks.onGate({ acts: { teller: 'prints console printed' } })
      expect(await line(({ message }) => message === 'printed')).toMatchObject({ fields: { plugin: 'teller' } })
      await hooks.onGate({ acts: { teller: 'forgets throws nobody caught this' } })
      expect(await line(({ message }) => message.includes('nobody caught this'))).toMatchObject({ level: 'error' })
    })

    it('carries events and replies of a megabyte', async () => {
      const { hooks } = await openLab({
        maxEventBytes: 2 * 1024 * 1024,
        plugins: [actor('a', { boundary: 'process', timeoutMs: 10_000 })],
      })
      const blob = new Uint8Array(1024 * 1024).map((_, index) => index % 251)
      const verdict = await hooks.onTransform({ text: 'big', blob, acts: { a: 'marks' } })
      expect(verdict).toMatchObject({ kind: 'replace', event: { text: 'big+a' } })
      expect(verdict.kind === 'replace' && Buffer.compare(verdict.event.blob as Uint8Array, blob)).toBe(0)
    })

    it('refuses plugins of one bulkhead that disagree on it', async () => {
      const error = await refusalOf(
        openLab({ plugins: [actor('in', { bulkhead: 'b', boundary: 'process' }), actor('out', { bulkhead: 'b' })] }),
      )
      expect(error).toMatchObject({ code: 'OPTIONS_INVALID', plugin: 'out' })
    })

    it('refuses a config that only threads can share', async () => {
      const trail = new SharedArrayBuffer(64)
      const error = await refusalOf(openLab({ plugins: [actor('a', { boundary: 'process', config: { trail } })] }))
      expect(error).toMatchObject({ code: 'PLUGIN_CONFIG_INVALID', plugin: 'a' })
    })
  },
)

describe('where the sandbox is not whole', () => {
  const withoutTools = () => {
    const { PATH } = process.env
    process.env.PATH = '/nonexistent'
    onTestFinished(() => {
      process.env.PATH = PATH
    })
  }

  it('an untrusted plugin is refused, with what is missing and what to do', async () => {
    withoutTools()
    const error = await refusalOf(open())
    expect(error).toMatchObject({ code: 'SANDBOX_MISSING', plugin: 'subject' })
    expect(error.message).toMatch(/lacks .*Install what is missing, or say sandbox: 'best-effort'/)
  })

  it('sandbox: best-effort goes on without, and says so', async () => {
    withoutTools()
    const lab = await open({ sandbox: 'best-effort' })
    expect(await lab.hooks.onGate({ text: 'continues' })).toEqual({ kind: 'continue' })
    expect(await lab.line(({ message }) => message.includes('goes without'))).toMatchObject({
      level: 'warn',
      fields: { plugin: 'subject' },
    })
    // Node's own permission model is there everywhere.
    expect(await found(lab, 'files')).toBe('ERR_ACCESS_DENIED')
  })

  it('a trusted plugin goes on without, and says so; a wedge of it is ended all the same', async () => {
    withoutTools()
    const lab = await open({ trust: 'trusted', timeoutMs: 50 }, { hangMs: 50 })
    await lab.line(({ level, message }) => level === 'warn' && message.includes('goes without'))
    expect(await lab.hooks.onGate({ text: 'wedge' })).toMatchObject({ failure: { kind: 'timeout' } })
    await lab.heard('laneReplaced')
    expect(lab.said.laneReplaced).toMatchObject([{ reason: 'hang', plugin: 'subject' }])
    await until('one process to be left', () => pluginProcesses().length <= 2)
  })
})
