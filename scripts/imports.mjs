/**
 * Holds src to scripts/lint/rooms.mjs with dependency-cruiser: reads who imports whom, names each import that the table
 * does not allow, and prints rooms and arrows. `node scripts/imports.mjs [--json] [ROOT]`, or called by scripts/check.mjs.
 */
import { fileURLToPath } from 'node:url'
import { cruise } from 'dependency-cruiser'
import { BUILDINGS, CIRCLES_IN, HOMES } from './lint/rooms.mjs'

/** @returns {{ rooms: Room[], files: number, violations: Violation[], arrows: Map<string, number> }} */
export async function readImports(root) {
  const rooms = roomsOf(BUILDINGS)
  const { output } = await cruise(
    ['src'],
    {
      baseDir: root,
      parser: 'swc',
      doNotFollow: { path: 'node_modules' },
      validate: true,
      ruleSet: { forbidden: rulesOf(rooms) },
    },
    { extensions: ['.ts', '.js', '.mjs'] },
  )
  const modules = output.modules.filter(({ source }) => source.startsWith('src/'))
  return {
    rooms,
    files: modules.length,
    violations: output.summary.violations.map(({ from, to, rule, cycle }) => ({
      from,
      to,
      rule: rule.name,
      cycle: cycle?.map(({ name }) => name),
    })),
    arrows: arrowsOf(modules, rooms),
  }
}

/** What `npm run check -- --imports` prints. */
export function importsText({ rooms, files, violations, arrows }) {
  const lines = [`${files} files in ${rooms.length} rooms, ${arrows.size} arrows between rooms`]
  for (const { name } of rooms) {
    lines.push('', name)
    const own = [...arrows].filter(([arrow]) => arrow.startsWith(`${name} -> `))
    for (const [arrow, count] of own) lines.push(`  -> ${arrow.slice(name.length + 4)}  ${count}`)
  }
  const circles = violations.filter(({ rule }) => rule === 'circle')
  const others = violations.filter(({ rule }) => rule !== 'circle')
  lines.push('', `imports that run up, or that no row allows: ${others.length}`)
  lines.push(...others.map(violationText))
  lines.push(`circles outside src/${CIRCLES_IN}: ${circles.length}`, ...circles.map(violationText))
  return `${lines.join('\n')}\n`
}

export function violationText({ from, to, rule, cycle }) {
  if (rule === 'circle') return `  ${[from, ...(cycle ?? [to])].join(' -> ')}`
  return `  ${from} imports ${to}: ${rule}`
}

function roomsOf(buildings) {
  const rooms = []
  for (const [building, { rooms: names, imports, only = {}, usesNode = false }] of Object.entries(buildings)) {
    const folder = building === '.' ? 'src/' : `src/${building}/`
    if (names === undefined) {
      const files = building === '.' ? ownFiles(folder) : `^${quoted(folder)}`
      rooms.push({ name: folder, files, below: [], imports, usesNode })
      continue
    }
    const floors = names.map((floor) => (Array.isArray(floor) ? floor : [floor]))
    const roomIn = (name) => (name === '.' ? folder : `${folder}${name}/`)
    for (const [index, floor] of floors.entries()) {
      const below = floors
        .slice(index + 1)
        .flat()
        .map(roomIn)
      for (const name of floor) {
        const own = only[name] ?? imports
        rooms.push({
          name: roomIn(name),
          files: ownFiles(roomIn(name)),
          below: below.map(ownFiles),
          imports: own,
          usesNode,
        })
      }
    }
  }
  return rooms
}

function quoted(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** The files of a folder, not those of the folders in it. */
function ownFiles(folder) {
  return `^${quoted(folder)}[^/]+$`
}

function rulesOf(rooms) {
  const known = rooms.map(({ files }) => files)
  return [
    { name: 'this folder has no row in the table', from: { path: '^src/', pathNot: known }, to: {} },
    { name: 'a folder without a row', from: { path: '^src/' }, to: { path: '^src/', pathNot: known } },
    ...rooms.map(({ name, files, below, imports }) => ({
      name: `${name} may not import that`,
      from: { path: files },
      to: { path: '^src/', pathNot: [files, ...below, ...imports.map(importedOf)] },
    })),
    ...rooms
      .filter(({ usesNode }) => !usesNode)
      .map(({ name, files }) => ({
        name: `${name} may not import Node.js' modules`,
        from: { path: files, pathNot: '\\.d\\.ts$' },
        to: { dependencyTypes: ['core'] },
      })),
    ...Object.entries(HOMES).map(([dependency, homes]) => ({
      name: `${dependency} has one home: ${homes.map((home) => `src/${home}`).join(', ')}`,
      from: { path: '^src/', pathNot: homes.map((home) => `^src/${quoted(home)}${home.endsWith('/') ? '' : '$'}`) },
      to: { path: packageFiles(dependency) },
    })),
    {
      name: 'this package has no home in the table',
      from: { path: '^src/' },
      to: { pathNot: ['^src/', ...Object.keys(HOMES).map(packageFiles)], dependencyTypesNot: ['core'] },
    },
    { name: 'circle', from: { path: '^src/', pathNot: `^src/${CIRCLES_IN}/` }, to: { circular: true } },
  ]
}

function importedOf(named) {
  return named.endsWith('.ts') ? `^src/${quoted(named)}$` : `^src/${quoted(named)}/`
}

/** Its files where it is installed, and its name where dependency-cruiser does not find them. */
function packageFiles(dependency) {
  return `(?:^|node_modules/)${quoted(dependency)}(?:/|$)`
}

function arrowsOf(modules, rooms) {
  const roomOf = (file) => rooms.find(({ files }) => new RegExp(files).test(file))?.name ?? `${file} (no row)`
  const arrows = new Map()
  for (const { source, dependencies } of modules) {
    for (const { resolved } of dependencies) {
      if (!resolved.startsWith('src/')) continue
      const [from, to] = [roomOf(source), roomOf(resolved)]
      if (from === to) continue
      const arrow = `${from} -> ${to}`
      arrows.set(arrow, (arrows.get(arrow) ?? 0) + 1)
    }
  }
  return new Map([...arrows].sort(([a], [b]) => (a < b ? -1 : 1)))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [root = fileURLToPath(new URL('..', import.meta.url))] = process.argv
    .slice(2)
    .filter((word) => word !== '--json')
  const imports = await readImports(root)
  const isJson = process.argv.includes('--json')
  process.stdout.write(isJson ? JSON.stringify(imports.violations) : importsText(imports))
  if (imports.violations.length > 0) process.exitCode = 1
}
