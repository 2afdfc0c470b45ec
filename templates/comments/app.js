import { once } from 'node:events'
import { createServer } from 'node:http'
import { createHookEngine, HookringError } from 'hookring'
import { isUndecided } from 'hookring/contracts'
import { comments } from './contract.js'

const MOST_CHARACTERS = 65_536

/**
 * Starts a server that takes comments by POST: `{ "author": "ada", "text": "hello" }`. A plugin has at most
 * `timeoutMs` for one.
 */
export async function startServer({ port = 3000, timeoutMs = 100 } = {}) {
  const engine = await createHookEngine({
    contract: comments,
    timeoutMs,
    plugins: [{ from: new URL('./plugins/max-length.js', import.meta.url), config: { characters: 280 } }],
  })

  const server = createServer(async (request, response) => {
    function answer(status = 200, body = {}) {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }

    try {
      let json = ''
      // A body that is too long is read to its end, so that its client gets the answer, but not kept.
      for await (const part of request.setEncoding('utf8')) {
        if (json.length <= MOST_CHARACTERS) json += part
      }
      if (json.length > MOST_CHARACTERS) return answer(413, { error: 'too long' })

      const comment = JSON.parse(json)
      const verdict = await engine.hooks.onComment(comment)
      // No plugin has refused: one failed or took too long, and its policy is to deny.
      if (isUndecided(verdict)) return answer(503, { error: 'try again later' })
      if (verdict.kind === 'reject') return answer(403, { error: verdict.reason })
      engine.hooks.onPublished(comment)
      answer(201, comment)
    } catch (error) {
      const isInvalid = error instanceof HookringError && error.code === 'EVENT_INVALID'
      if (isInvalid || error instanceof SyntaxError) {
        return answer(400, { error: 'a comment is { "author": "...", "text": "..." }' })
      }
      console.error(error)
      answer(500, { error: 'something went wrong' })
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')

  return {
    server,
    engine,
    /** Clients first, then plugins. */
    async close() {
      await new Promise((resolve) => server.close(resolve))
      await engine.close()
    },
  }
}
