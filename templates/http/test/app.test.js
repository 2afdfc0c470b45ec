import assert from 'node:assert/strict'
import test from 'node:test'
import { makeApp } from '../app.js'

test('the server handles what its plugins let pass, and refuses the rest', async (t) => {
  // A machine that is busy with other tests has time.
  const app = await makeApp({ timeoutMs: 10_000 })
  t.after(() => app.close())
  const person = { 'user-agent': 'Firefox' }
  const bot = { 'user-agent': 'GreedyBot/1.0' }

  const welcome = await app.inject({ url: '/', headers: person })
  assert.deepEqual(welcome.json(), { hello: 'world' })
  const payload = { author: 'ada', text: 'hello' }
  const published = await app.inject({ method: 'POST', url: '/comments', headers: person, payload })
  assert.equal(published.statusCode, 201)
  assert.deepEqual(published.json(), payload)

  const refused = await app.inject({ method: 'POST', url: '/comments', headers: bot, payload })
  assert.equal(refused.statusCode, 403)
  assert.equal(refused.json().detail, 'no bots here')
  assert.equal((await app.inject({ url: '/', headers: { 'user-agent': '' } })).statusCode, 400)
  assert.equal((await app.inject({ url: '/health', headers: bot })).statusCode, 200)
})
