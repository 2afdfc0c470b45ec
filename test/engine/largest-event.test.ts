/** The largest event that an engine can be made for. */
import { createHookEngine } from 'hookring'
import { defineContract, gate, respond, transform } from 'hookring/contracts'
import { expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { silent } from '../support/lab.js'
import { written } from '../support/written-plugins.js'

const MOST_BYTES = 64 * 1024 * 1024

it('has room in lanes, whatever the hookpoints are', async () => {
  const event = z.object({ text: z.string() })
  const contract = defineContract('lab', 1, {
    onGate: gate(event),
    onChange: transform(event, { maxReplyBytes: MOST_BYTES }),
    onAnswer: respond(event, event, { maxReplyBytes: MOST_BYTES }),
  })
  const { from } = await written('', '{ onGate: ({ text }) => reject(String(text.length)) }')
  const plugins = [{ from, timeoutMs: 20_000 }]
  const engine = await createHookEngine({ contract, logger: silent, maxEventBytes: MOST_BYTES, spares: 0, plugins })
  onTestFinished(() => engine.close())
  const text = 'x'.repeat(MOST_BYTES - 64)
  expect(await engine.hooks.onGate({ text })).toMatchObject({ kind: 'reject', reason: String(text.length) })
  await expect(engine.hooks.onGate({ text: `${text}${text}` })).rejects.toMatchObject({ code: 'EVENT_TOO_LARGE' })
})
