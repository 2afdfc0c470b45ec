import assert from 'node:assert/strict'
import test from 'node:test'
import { http } from 'hookring/contracts'
import { runInline } from 'hookring/testing'
import noBots from '../plugins/no-bots.js'

/** What plugins see of a request. */
function requestOf(userAgent = '') {
  return {
    method: 'GET',
    path: '/',
    route: '/',
    clientAddress: '192.0.2.1',
    requestId: 'req-1',
    query: {},
    headers: { 'user-agent': userAgent },
    credentials: {},
    tlsSubject: null,
    body: null,
  }
}

test('a bot is refused, and who does not say what it is', async (t) => {
  const { hooks, close } = await runInline(noBots, { contract: http, config: { agents: ['bot'] } })
  t.after(close)
  assert.equal((await hooks.onRequest(requestOf('Firefox'))).kind, 'continue')
  assert.deepEqual(await hooks.onRequest(requestOf('GreedyBot/1.0')), {
    kind: 'reject',
    reason: 'no bots here',
    code: 403,
    plugin: 'no-bots',
  })
  const verdict = await hooks.onRequest(requestOf(''))
  assert.equal(verdict.kind === 'reject' && verdict.code, 400)
})
