/** Names in keys, for the plugins that keep state in Redis. Pure. */

/** What stands for a topic, a filter or a client id in a key: itself, unless it has the name of an index. */
export function escapeName(name: string): string {
  return /^_+(?:idx|log|gen)$/.test(name) ? `_${name}` : name
}
