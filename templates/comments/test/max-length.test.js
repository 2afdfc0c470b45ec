import assert from 'node:assert/strict'
import test from 'node:test'
import { runInline } from 'hookring/testing'
import { comments } from '../contract.js'
import maxLength from '../plugins/max-length.js'

test('a comment that is too long is refused', async (t) => {
  const { hooks, close } = await runInline(maxLength, { contract: comments, config: { characters: 5 } })
  t.after(close)
  assert.equal((await hooks.onComment({ author: 'ada', text: 'hello' })).kind, 'continue')
  assert.deepEqual(await hooks.onComment({ author: 'ada', text: 'hello!' }), {
    kind: 'reject',
    reason: 'at most 5 characters are allowed',
    plugin: 'max-length',
  })
})
