/**
 * Topic filters of acl rules, with the client in them: `%c` is its client id and `%u` its user name, `%%c` and `%%u` are
 * the texts `%c` and `%u`. Pure.
 *
 * A name is text of the client's: `+`, `#` or NUL in it would be a wildcard of its choice, and a `/` a place below somebody
 * else's. A rule that grants something fits no client with such a name. One that only denies takes the `/` as it stands.
 */
import { type FilterLevels, isTopicFilter, parseFilter } from '../contracts/mqtt-topics.js'

export interface Naming {
  readonly clientId: string
  readonly username: string | null
}

/** The filter for a client; null: it fits none of its topics. */
export type TopicTemplate = (client: Naming) => FilterLevels | null

const PLACE = /%(%?)([cu])/g

export function isTopicTemplate(text: string): boolean {
  return isTopicFilter(text.replace(PLACE, 'x'))
}

export function compileTopicTemplate(text: string, { grants }: { grants: boolean }): TopicTemplate {
  if (!/%[cu]/.test(text)) {
    const levels = parseFilter(text)
    return () => levels
  }
  const forbidden = grants ? /[/+#\0]/ : /[+#\0]/
  return ({ clientId, username }) => {
    let isFitting = true
    const filter = text.replace(PLACE, (_, percent: string, kind: string) => {
      if (percent !== '') return `%${kind}`
      const name = kind === 'c' ? clientId : username
      if (name === null || name === '' || forbidden.test(name)) isFitting = false
      return name ?? ''
    })
    return isFitting ? parseFilter(filter) : null
  }
}
