// Whether the programs know what manifests say to them: each container's command is run with its
// environment and its run.yaml and --dry-run, which prints the settings as they are taken.
// Usage: node settings.mjs PLAIT FOLDER FILE...

import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import yaml from 'js-yaml';
import {DEFAULTS} from './lint.mjs';
import {containers, environment, read, setting, title, workloads} from './objects.mjs';

const [plait, folder, ...files] = process.argv.slice(2);
const variable = (name) => `PLAIT_${name.replace(/[^A-Za-z0-9]/g, '_').toUpperCase()}`;
const same = (a, b) => String(a) === String(b) || (a === true && b === 'yes') || (a === false && b === 'no');
let wrong = 0;
let count = 0;

function bad(text) {
    console.log(`WRONG: ${text}`);
    wrong++;
}

for (const file of files) {
    const objects = read(file);
    const conf = path.join(folder, 'run.yaml');
    const map = objects.find(({kind, data}) => kind === 'ConfigMap' && data?.['run.yaml']);
    fs.writeFileSync(conf, map.data['run.yaml']);
    for (const workload of workloads(objects)) {
        for (const {container} of containers(workload)) {
            const [role, ...rest] = container.args ?? [];
            if (!rest.some((word) => word === '/etc/plait/run.yaml')) continue;
            const where = `${path.basename(file)}: ${title(workload.owner)}, '${container.name}'`;
            const env = Object.fromEntries(
                Object.entries(environment(container, objects)).filter(([, value]) => value !== undefined),
            );
            // A command without --dry-run takes the settings that plait up does.
            const dry = role === 'redis' ? ['up', conf] : [role, conf, ...rest.slice(1)];
            const run = spawnSync(plait, [...dry, '--dry-run'], {env, encoding: 'utf8'});
            if (run.status !== 0) {
                bad(`${where}: ${run.stderr.trim()}`);
                continue;
            }
            const taken = new Map(
                Object.entries(yaml.load(run.stdout)).map(([name, value]) => [variable(name), value]),
            );
            const settings = yaml.load(map.data['run.yaml']);
            for (const [name, value] of Object.entries(DEFAULTS)) {
                const given = env[variable(name)] ?? setting(settings, name) ?? value;
                const is = taken.get(variable(name));
                if (is !== undefined && !same(is, given)) bad(`${where}: ${name} is '${is}', and lint.mjs takes it for '${given}'`);
            }
            for (const [name, value] of Object.entries(env).filter(([name]) => name.startsWith('PLAIT_'))) {
                count++;
                if (!taken.has(name)) bad(`${where}: ${name} is no setting`);
                else if (!same(taken.get(name), value)) {
                    bad(`${where}: ${name} is '${value}', and taken for '${taken.get(name)}'`);
                }
            }
        }
    }
}
console.log(`${count} variables are settings, ${wrong} are not`);
process.exit(wrong > 0 || count === 0 ? 1 : 0);
