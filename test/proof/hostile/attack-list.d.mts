export interface AttackTraits {
  readonly share: number
  readonly quota: number
  readonly movesBytes: boolean
}
export const ATTACKS: Readonly<Record<string, AttackTraits>>
