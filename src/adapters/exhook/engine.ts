/** What the provider needs of an engine. Host's thread only. */
import { EXHOOK_VERSIONS, type ExhookVersion, type Hookpoints, HookringError } from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'

/** An engine of exhook@1, @2 or @3. */
export type ExhookEngine<Points extends Hookpoints> = Pick<HookEngine<Points>, 'contract' | 'hooks' | 'plugins'>

/** The version of the engine's contract. @throws HookringError OPTIONS_INVALID */
export function contractVersionOf<Points extends Hookpoints>(engine: ExhookEngine<Points>): ExhookVersion {
  const { name, version, id } = engine?.contract ?? {}
  const known = EXHOOK_VERSIONS.find((each) => name === 'exhook' && each === version)
  if (known !== undefined) return known
  const found = typeof id === 'string' ? `an engine of ${id}` : 'no engine'
  throw new HookringError('OPTIONS_INVALID', `engine: must be one of exhook@1, @2 or @3, got ${found}`, {
    path: ['engine'],
  })
}
