/** Lua scripts that Redis runs in one step. In a lane. */
import { createHash } from 'node:crypto'
import type { RedisConnection } from './connection.js'

type Argument = string | number | Buffer

/** Sent by its hash; in full to a server that does not know it yet. */
export class Script {
  readonly #lua: string
  readonly #sha: string

  constructor(lua: string) {
    this.#lua = lua
    this.#sha = createHash('sha1').update(lua).digest('hex')
  }

  /** The answer's strings are texts. All keys must be of one slot. */
  run({ commands }: Pick<RedisConnection, 'commands'>, keys: readonly string[], args: readonly Argument[]) {
    const all = [...keys, ...args]
    return commands
      .evalsha(this.#sha, keys.length, ...all)
      .catch((error: unknown) => (isUnknown(error) ? commands.eval(this.#lua, keys.length, ...all) : fail(error)))
  }

  /** The answer's strings are Buffers. */
  runForBytes({ commands }: Pick<RedisConnection, 'commands'>, keys: readonly string[], args: readonly Argument[]) {
    const all = [keys.length, ...keys, ...args]
    return commands
      .callBuffer('evalsha', this.#sha, ...all)
      .catch((error: unknown) =>
        isUnknown(error) ? commands.callBuffer('eval', this.#lua, ...all) : fail(error),
      ) as Promise<unknown>
  }
}

function isUnknown(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT')
}

function fail(error: unknown): never {
  throw error
}
