/** What asking about a request comes to. Types alone. */
import type { Failure } from '../../contracts/index.js'

/** A response, before the server has it. */
export interface HttpReply {
  /** 200 to 599. */
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | Uint8Array | undefined
}

export type Outcome =
  /** Nobody objects. */
  | { readonly kind: 'allowed' }
  /** A plugin has answered in the handler's place. */
  | { readonly kind: 'answered'; readonly reply: CheckedReply }
  | Refused
  | Undecided
  /** The client has left: nobody is answered. */
  | { readonly kind: 'gone' }

/** A response that can be sent as it is. Header names are in lower case; the length and the framing are the server's. */
export interface CheckedReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array<ArrayBuffer>
}

/** A plugin has said no. */
export interface Refused {
  readonly kind: 'refused'
  /** The plugin's code if it is 400 to 599, otherwise 403. */
  readonly status: number
  /** The plugin's words. */
  readonly reason: string
  readonly plugin: string
  readonly hookpoint: string
}

/** Nobody has decided. */
export interface Undecided {
  readonly kind: 'undecided'
  /** 503, 504 for a timeout; 413, 414, 431 for a request that is larger than it may be; 400, 408, 500. */
  readonly status: number
  /** What a client may read. */
  readonly reason: string
  readonly hookpoint: string
  /** The plugin's failure, if it was one. For the operator. */
  readonly failure?: Failure | undefined
  /** The error, if it was one. For the operator. */
  readonly error?: unknown
}
