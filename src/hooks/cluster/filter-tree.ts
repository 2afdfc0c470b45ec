/**
 * A set of topic filters that answers which of them match a topic, in time that does not grow with their number. Pure.
 */
export interface FilterTree {
  add(filter: string): void
  delete(filter: string): void
  clear(): void
  /** The filters that match (MQTT 5.0, section 4.7): a topic that begins with `$` by no leading wildcard. */
  match(topic: string): string[]
}

interface Branch {
  readonly below: Map<string, Branch>
  filter: string | null
}

export function createFilterTree(): FilterTree {
  let root = branch()

  function collect(at: Branch, levels: readonly string[], depth: number, found: string[]): void {
    const isReserved = depth === 0 && levels[0]?.startsWith('$') === true
    const rest = isReserved ? undefined : at.below.get('#')
    if (rest !== undefined && rest.filter !== null) found.push(rest.filter)
    if (depth === levels.length) {
      if (at.filter !== null) found.push(at.filter)
      return
    }
    const named = at.below.get(levels[depth] as string)
    if (named !== undefined) collect(named, levels, depth + 1, found)
    const any = isReserved ? undefined : at.below.get('+')
    if (any !== undefined) collect(any, levels, depth + 1, found)
  }

  return {
    add(filter) {
      let at = root
      for (const level of filter.split('/')) {
        const next = at.below.get(level) ?? branch()
        at.below.set(level, next)
        at = next
      }
      at.filter = filter
    },
    delete(filter) {
      const path: [Branch, string][] = []
      let at: Branch | undefined = root
      for (const level of filter.split('/')) {
        path.push([at, level])
        at = at.below.get(level)
        if (at === undefined) return
      }
      at.filter = null
      for (const [above, level] of path.reverse()) {
        const below = above.below.get(level) as Branch
        if (below.filter !== null || below.below.size > 0) return
        above.below.delete(level)
      }
    },
    clear() {
      root = branch()
    },
    match(topic) {
      const found: string[] = []
      collect(root, topic.split('/'), 0, found)
      return found
    },
  }
}

function branch(): Branch {
  return { below: new Map(), filter: null }
}
