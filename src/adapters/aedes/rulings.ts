/** What a question to plugins comes to: allowed, refused, or undecided, and then where it goes on. Pure. */
import { type MqttPublishPacket, mqtt, type Resume } from '../../contracts/index.js'

type Hookpoint = keyof typeof mqtt.hookpoints

/** A plugin has said no. */
export interface Refused {
  readonly kind: 'refused'
  readonly reason: string
  /** The plugin's MQTT reason code. */
  readonly code: number | undefined
}

/** Nobody has said anything. */
export interface Undecided {
  readonly kind: 'undecided'
  readonly reason: string
  /**
   * `failed`: a plugin, which may do better the next time. Asking again is of no use where the engine is closed, where the
   * event is larger than it takes, or where no event can be made of it: no hook has seen those, and none could. `reply`: a
   * plugin's replacement cannot be used, or is too large for the next hookpoint; it would make the same one again.
   */
  readonly cause: 'failed' | 'reply' | 'engine-closed' | 'too-large' | 'invalid'
  /** Left out: the next time all are asked. */
  readonly reached?: Reached
}

/** Where a question came to an end. */
export interface Reached {
  readonly hookpoint: string
  /** The plugin at which to go on; undefined: the first. */
  readonly startAt: string | undefined
  /** As it is by then. */
  readonly event: unknown
  readonly isReplaced: boolean
}

export type Ruling<Event> =
  | { readonly kind: 'allowed'; readonly event: Event; readonly isReplaced: boolean }
  | Refused
  | Undecided

export type PacketRuling = Ruling<{ readonly packet: MqttPublishPacket }>

export type Answer<Value> =
  | { readonly kind: 'answer'; readonly value: Value }
  | { readonly kind: 'none' }
  | Refused
  | Undecided

export function undecided(reason: string, cause: Undecided['cause'] = 'failed'): Undecided {
  return { kind: 'undecided', reason, cause }
}

/** One question at a hookpoint, and how far it has got. */
export class Asking {
  readonly hookpoint: Hookpoint
  #reached: Reached

  constructor(hookpoint: Hookpoint, event: unknown, before: Undecided | null) {
    this.hookpoint = hookpoint
    const reached = before?.reached
    const isGoingOn = reached?.hookpoint === hookpoint
    this.#reached = isGoingOn ? reached : { hookpoint, startAt: undefined, event, isReplaced: false }
  }

  get reached(): Reached {
    return this.#reached
  }

  get event(): unknown {
    return this.#reached.event
  }

  get startAt(): string | undefined {
    return this.#reached.startAt
  }

  get isReplaced(): boolean {
    return this.#reached.isReplaced
  }

  /** Undecided: where it goes on. */
  cameTo(resume: Resume | undefined): void {
    if (resume === undefined) return
    const { startAt, event } = resume
    this.#reached = { ...this.#reached, startAt, ...(event !== undefined && { event, isReplaced: true }) }
  }

  /** The same, of a failure that was raised. What was replaced before it is not known: then all are asked again. */
  raisedBy(plugin: string): void {
    if (mqtt.hookpoints[this.hookpoint].kind !== 'transform') this.#reached = { ...this.#reached, startAt: plugin }
  }
}
