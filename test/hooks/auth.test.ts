import { mqtt } from 'hookring/contracts'
import { hashPassword } from 'hookring/hooks'
import plugin from 'hookring/hooks/auth'
import { runInline } from 'hookring/testing'
import { expect, test } from 'vitest'

const login = (username: string | null, password: string | null) => ({
  client: { clientId: 'c', username, remoteAddress: '', protocolVersion: 4, clean: true, keepalive: 0 },
  password: password === null ? null : new TextEncoder().encode(password),
  will: null,
})
const open = (credentials?: Record<string, string>) =>
  runInline(plugin, { contract: mqtt, config: credentials && { credentials }, timeoutMs: 5_000 })

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
