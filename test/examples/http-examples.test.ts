/** The examples of HTTP servers, as processes of their own, with real clients. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'

async function start(example: string): Promise<{ address: string; child: ChildProcess }> {
  const program = fileURLToPath(new URL(`../../examples/${example}/server.mjs`, import.meta.url))
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /^listening on (\S+)$/.exec(line)?.[1]
    if (address !== undefined) return { address, child }
  }
  throw new Error(`${example} ended before it listened`)
}

async function stop(child: ChildProcess): Promise<unknown> {
  child.stdout?.resume()
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  return (await exited)[0]
}

async function get(url: string, init: RequestInit = {}): Promise<[number, string]> {
  let response = await fetch(url, { ...init, headers: { connection: 'close', ...init.headers } })
  // Their plugins have 100 ms, as by default, and the machine may be busy.
  for (let again = 0; response.status === 504 && again < 10; again++) response = await fetch(url, init)
  const text = await response.text()
  return [
    response.status,
    response.headers.get('content-type') === 'application/problem+json' ? JSON.parse(text).detail : text,
  ]
}

test('Fastify', async () => {
  const { address, child } = await start('fastify')
  expect(await get(`${address}/`)).toEqual([200, 'hello\n'])
  const bot = { headers: { 'user-agent': 'a bot' } }
  expect(await get(`${address}/admin`, bot)).toEqual([403, 'no bots here'])
  expect(await get(`${address}/admin`)).toEqual([200, 'welcome\n'])
  const comment = (text: string) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text }),
  })
  expect(await get(`${address}/comments`, comment('a casino'))).toEqual([422, 'comments may not say casino'])
  expect(await get(`${address}/comments`, comment('fine'))).toEqual([200, 'fine\n'])
  expect(await get(`${address}/health`, bot)).toEqual([200, 'ok\n'])
  expect(await stop(child)).toBe(0)
})

test('Express', async () => {
  const { address, child } = await start('express')
  expect(await get(`${address}/`)).toEqual([200, 'hello\n'])
  expect(await get(`${address}/shop`)).toEqual([503, 'back in an hour\n'])
  expect(await stop(child)).toBe(0)
})

test('Hono', async () => {
  const { address, child } = await start('hono')
  const withKey = (key: string) => ({ headers: { 'x-api-key': key } })
  expect(await get(`${address}/`)).toEqual([200, 'hello\n'])
  expect(await get(`${address}/api/items`)).toEqual([401, 'an API key is needed'])
  expect(await get(`${address}/api/items`, withKey('x'))).toEqual([403, 'this API key is not known'])
  expect(await get(`${address}/api/items`, withKey('key-1'))).toEqual([200, '["pen","ink"]'])
  expect(await stop(child)).toBe(0)
})

test('ws', async () => {
  const { address, child } = await start('ws')
  const stranger = new WebSocket(address)
  const [, response] = await once(stranger, 'unexpected-response')
  expect(response.statusCode).toBe(403)
  stranger.on('error', () => {})
  stranger.terminate()
  const guest = new WebSocket(address, { origin: 'http://chat.example' })
  await once(guest, 'open')
  const heard = once(guest, 'message')
  guest.send('x'.repeat(201))
  guest.send('hello')
  expect(String((await heard)[0])).toBe('hello')
  const closed = once(guest, 'close')
  expect(await stop(child)).toBe(0)
  expect((await closed)[0]).toBe(1001)
})
