/**
 * Marks by which the two sides know each other's objects. Registered symbols, so that they hold when a plugin brings a
 * copy of hookring of its own.
 */
export const PLUGIN_BRAND = Symbol.for('hookring.plugin@1')
export const VERDICT_BRAND = Symbol.for('hookring.verdict@1')
