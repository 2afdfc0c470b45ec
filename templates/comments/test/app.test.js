import assert from 'node:assert/strict'
import test from 'node:test'
import { startServer } from '../app.js'

test('the server publishes what its plugins let pass, and refuses the rest', async (t) => {
  // A machine that is busy with other tests has time.
  const { server, close } = await startServer({ port: 0, timeoutMs: 10_000 })
  t.after(close)
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  const send = (body = '') => fetch(`http://127.0.0.1:${address.port}`, { method: 'POST', body })
  const statusOf = async (body = '') => (await send(body)).status

  assert.equal(await statusOf('{ "author": "ada", "text": "hello" }'), 201)
  assert.equal(await statusOf(JSON.stringify({ author: 'ada', text: 'x'.repeat(281) })), 403)
  assert.equal(await statusOf('{ "author": "ada" }'), 400)
  assert.equal(await statusOf('no JSON'), 400)
  assert.equal(await statusOf('x'.repeat(100_000)), 413)
})
