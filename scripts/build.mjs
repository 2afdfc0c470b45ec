/** `npm run build`: compiles src into dist, as ES modules with types and maps. Fails on type errors. */
import { compile, PACKAGE } from './compile.mjs'

process.exitCode = (await compile(PACKAGE, { isChecked: true })) ? 0 : 1
