import assert from 'node:assert/strict'
import test from 'node:test'
import { startServer } from '../server.js'

test('the server publishes what its plugins let pass, and refuses the rest', async () => {
  const { server, close } = await startServer(0)
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  const send = (body = '') => fetch(`http://127.0.0.1:${address.port}`, { method: 'POST', body })
  const statusOf = async (body = '') => (await send(body)).status

  assert.equal(await statusOf('{ "author": "ada", "text": "hello" }'), 201)
  assert.equal(await statusOf(JSON.stringify({ author: 'ada', text: 'x'.repeat(281) })), 403)
  assert.equal(await statusOf('{ "author": "ada" }'), 400)
  assert.equal(await statusOf('no JSON'), 400)
  await close()
})
