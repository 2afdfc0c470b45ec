import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mqtt } from 'hookring/contracts'
import { hashPassword } from 'hookring/hooks'
import plugin from 'hookring/hooks/auth'
import { runInline } from 'hookring/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'

const login = (username: string | null, password: string | null) => ({
  client: { clientId: 'c', username, remoteAddress: '', protocolVersion: 4, clean: true, keepalive: 0 },
  password: password === null ? null : new TextEncoder().encode(password),
  will: null,
})
const open = (credentials?: Record<string, string>) =>
  runInline(plugin, { contract: mqtt, config: credentials && { credentials }, timeoutMs: 5_000 })

let folder: string
let written = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hookring-auth-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function write(source: string): Promise<string> {
  written += 1
  const file = join(folder, `validator-${written}.mjs`)
  await writeFile(file, source)
  return file
}

test('plain and hashed passwords let in whom they name, and nobody else', async () => {
  const hash = await hashPassword('secret')
  const [, , r, p, salt, rest] = hash.split('$')
  await using run = await open({ ada: 'plain', eve: hash, phc: `$scrypt$ln=14,r=${r},p=${p}$${salt}$${rest}` })
  const kind = async (name: string | null, password: string | null) =>
    (await run.hooks.onConnect(login(name, password))).kind
  expect(await kind('ada', 'plain')).toBe('continue')
  expect(await kind('eve', 'secret')).toBe('continue')
  expect(await kind('phc', 'secret')).toBe('continue')
  expect(await kind('eve', hash)).toBe('reject')
  expect(await kind('ada', 'secret')).toBe('reject')
  expect(await kind('bob', 'plain')).toBe('reject')
  expect(await kind('ada', null)).toBe('reject')
  expect(await run.hooks.onConnect(login(null, null))).toMatchObject({ kind: 'reject', code: 0x86 })
})

test('without credentials everybody may in, with none in them nobody', async () => {
  await using everybody = await open()
  expect(await everybody.hooks.onConnect(login(null, null))).toMatchObject({ kind: 'continue' })
  await using nobody = await open({})
  expect(await nobody.hooks.onConnect(login('', ''))).toMatchObject({ kind: 'reject' })
})

test('what begins like a hash and is none is refused', async () => {
  await expect(open({ ada: 'scrypt$nonsense' })).rejects.toMatchObject({ code: 'PLUGIN_SETUP_FAILED' })
})

test('a validator decides in place of the credentials', async () => {
  const validator = await write(`export default async ({ client, password }) => {
    if (client.username === 'throws') throw new Error('no directory')
    if (client.username === 'vague') return 'yes'
    return client.username === 'ada' && Buffer.from(password ?? '').toString() === 'directory'
  }`)
  await using run = await runInline(plugin, {
    contract: mqtt,
    config: { validator, credentials: { eve: 'plain' } },
    timeoutMs: 5_000,
  })
  expect(await run.hooks.onConnect(login('ada', 'directory'))).toMatchObject({ kind: 'continue' })
  for (const name of ['eve', 'vague']) {
    expect(await run.hooks.onConnect(login(name, 'plain'))).toMatchObject({ kind: 'reject' })
  }
  // In a lane it is a failure of the plugin, and the policy decides.
  await expect(run.hooks.onConnect(login('throws', 'plain'))).rejects.toThrow('no directory')
})

test('a validator that is no function, or is not there, is refused at setup', async () => {
  for (const validator of [await write('export default 1'), '/nowhere/validator.mjs']) {
    await expect(runInline(plugin, { contract: mqtt, config: { validator } })).rejects.toMatchObject({
      code: 'PLUGIN_SETUP_FAILED',
    })
  }
})
