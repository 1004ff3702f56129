// Whether built manifests are right. Usage: node check.mjs VERSION FILE...
// Prints what is wrong, a line each; exit status 1 when there is anything.

import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {lint} from './lint.mjs';
import {read} from './objects.mjs';
import {byModels, byTypes} from './schemas.mjs';

const [version, ...files] = process.argv.slice(2);
const folder = path.dirname(fileURLToPath(import.meta.url));
let wrong = 0;
for (const file of files) {
    const objects = read(file);
    const found = [
        ...(await byModels(objects)).map((text) => `schema: ${text}`),
        ...byTypes(objects, folder).map((text) => `type: ${text}`),
        ...lint(objects, {version}).map(({rule, text}) => `${rule}: ${text}`),
    ];
    for (const text of found) console.log(`${path.basename(file)}: ${text}`);
    console.log(`${path.basename(file)}: ${objects.length} objects, ${found.length} wrong`);
    wrong += found.length;
}
process.exit(wrong > 0 ? 1 : 0);
