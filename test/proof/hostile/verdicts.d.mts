export function tagOf(id: number): string
export function callInTag(text: string): number | null
export function gateVerdict(name: string, event: { id: number; text: string }): { reason: string; code: number } | null
export function sealed(name: string, event: { id: number; text: string }): string
