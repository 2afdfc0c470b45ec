/**
 * Order per client: what is asked under one key goes out one after the other, each when the one before it has settled.
 * What is kept is what waits, and that is bounded by the hooks that a lane runs at once. The lane's thread.
 */

export interface Turns {
  take<T>(key: string, body: () => Promise<T>): Promise<T>
}

export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>()
  return {
    take(key, body) {
      const before = last.get(key)
      const mine = before === undefined ? body() : before.then(body, body)
      last.set(key, mine)
      const leave = () => {
        if (last.get(key) === mine) last.delete(key)
      }
      mine.then(leave, leave)
      return mine
    },
  }
}
