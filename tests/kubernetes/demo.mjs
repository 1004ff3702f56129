// A run of an overlay, pods and all: the contract between manifests and programs.
// Usage: node demo.mjs OBJECTS.yaml FOLDER ROOT CONFIG STEPS
//   ROOT, CONFIG: the image's root, and what it says of itself, as JSON
// Prints what is wrong, a line each that begins with WRONG; exit status 1 when there is anything.

import {execFileSync, spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {Cluster, sleep} from './kubelet.mjs';
import {read, runSettings, setting} from './objects.mjs';

const [file, folder, root, configFile, most] = process.argv.slice(2);
const objects = read(file);
const {config} = JSON.parse(fs.readFileSync(configFile, 'utf8'));
const plait = {
    folder: root,
    setpriv: ['/.tools/ld.so', '--library-path', '/.tools', '/.tools/setpriv'],
    config: {
        entry: config.Entrypoint,
        cwd: config.WorkingDir,
        env: Object.fromEntries(config.Env.map((text) => text.split(/=(.*)/s).slice(0, 2))),
    },
};
const cluster = new Cluster(objects, folder, {plait, redis: ''});
const steps = setting(runSettings(objects), 'trainer.total_training_steps');
const name = setting(runSettings(objects), 'run.name');
const deadline = Date.now() + Number(most) * 1000;
let wrong = 0;
let checks = 0;

function ok(what, good) {
    checks++;
    if (good) return;
    console.log(`WRONG: ${what}`);
    wrong++;
}

const rundir = path.join(folder, 'claims', 'run-plait-learner-0', 'run');

function step() {
    try {
        const lines = fs.readFileSync(path.join(rundir, 'metrics.jsonl'), 'utf8').split('\n');
        return lines.filter((line) => line.includes('actor/pg_loss')).length;
    } catch {
        return 0;
    }
}

async function until(what, good) {
    while (!(await good())) {
        const dead = cluster.pods.find((pod) => pod.gone && !pod.leaving);
        if (dead) throw new Error(`${dead.name} ended with ${dead.code} while waiting for ${what}`);
        if (Date.now() > deadline) throw new Error(`waited too long for ${what}; step ${step()}`);
        await sleep(200);
    }
    cluster.say(what);
}

// How redis-cli gets in: where there are users and TLS, as admin with what that Secret has.
function credentials() {
    const secret = objects.find(({kind, metadata}) => kind === 'Secret' && metadata.name.startsWith('plait-redis-admin'));
    if (!secret) return [];
    const at = (key) => {
        const file = path.join(folder, key);
        fs.writeFileSync(file, Buffer.from(secret.data[key], 'base64'));
        return file;
    };
    const password = Buffer.from(secret.data['admin.password'], 'base64').toString().trim();
    return ['--tls', '--cacert', at('ca.crt'), '--cert', at('client.crt'), '--key', at('client.key'),
        '--user', 'admin', '--pass', password, '--no-auth-warning'];
}

const guard = credentials();
const relays = cluster.workload('plait-relay') ? 2 : 0;

function redis(...words) {
    const host = cluster.address('plait-redis-0');
    return execFileSync('redis-cli', ['-h', host, ...guard, ...words], {encoding: 'utf8'}).trim();
}

// Whether a connection begins within a second, from a network namespace.
function connects(from, address, port) {
    const program = `const s = require('net').connect(${port}, '${address}');
        s.on('connect', () => process.exit(0)); s.on('error', () => process.exit(1));
        setTimeout(() => process.exit(1), 1000);`;
    return spawnSync('ip', ['netns', 'exec', from, 'node', '-e', program]).status === 0;
}

async function scenario() {
    await cluster.scale('plait-redis', 1);
    // All at once, as kubectl apply does it.
    const [learner] = await Promise.all([
        cluster.scale('plait-learner', 1).then(([pod]) => pod),
        cluster.scale('plait-rewarder', 1),
        cluster.scale('plait-actor', 2),
        ...(relays ? [cluster.scale('plait-relay', relays)] : []),
    ]);
    await until('step 3 is done', () => step() >= 3);

    // None is left, then more than before: what is done from here on is theirs.
    await cluster.scale('plait-actor', 0);
    for (const pod of cluster.pods.filter((at) => at.leaving)) {
        ok(`${pod.name} left well, it left with ${pod.code}`, pod.code === 0);
    }
    const more = await cluster.scale('plait-actor', 3);
    const worked = (pod) => Number(redis('HGET', `plait:{${name}}:worker:${pod.name}`, 'groups')) > 0;
    await until('new actors have worked', () => more.filter(worked).length >= 2);
    await cluster.scale('plait-actor', 1);

    const before = step();
    await learner.end();
    ok(`the learner left well, it left with ${learner.code}`, learner.code === 0);
    const [kept] = cluster.pods.filter((pod) => pod.name.startsWith('plait-actor') && !pod.gone);
    ok('an actor stays ready without its learner', (await sleep(1500), kept.ready));
    const [again] = await cluster.scale('plait-learner', 1);
    await until('the learner goes on', () => step() > before);
    const begun = fs.readFileSync(again.log, 'utf8').split('\n').filter((line) => line.includes('"event":"begin"'));
    ok('from its checkpoint', begun.length === 2 && JSON.parse(begun[1]).step >= before);

    await cluster.scale('plait-actor', 2);
    await until('the run is over', () => redis('HGET', `plait:{${name}}:run`, 'state') === 'finished');
    ok(`all ${steps} steps, once each`, step() === steps);
    await sleep(2500);
    ok('the learner stays, and is ready', !again.gone && again.ready);
    // The run waits for nobody here.
    const live = cluster.pods.filter((pod) => !pod.gone);
    const [actor, other] = live.filter((pod) => pod.workload.labels['app.kubernetes.io/component'] === 'actor');
    ok('an actor reaches Redis', connects(actor.name, cluster.address('plait-redis-0'), 6379));
    ok('an actor reaches the learner', connects(actor.name, again.address, 7712));
    ok('an actor does not reach another actor', !connects(actor.name, other.address, 9640));
    ok('the learner does not reach an actor', !connects(again.name, actor.address, 9640));
    cluster.wire('stranger', '10.88.0.250');
    ok('a stranger does not reach Redis', !connects('stranger', cluster.address('plait-redis-0'), 6379));
    ok('a stranger does not reach the learner', !connects('stranger', again.address, 7711));
    if (relays) {
        const relay = cluster.address(cluster.pods.find(({name: at}) => at.startsWith('plait-relay')).name);
        ok('an actor reaches a relay', connects(actor.name, relay, 7722));
        ok('a stranger does not reach a relay', !connects('stranger', relay, 7722));
        ok('actors have their weights from relays', JSON.stringify(actor.environment(actor.container)).includes('plait-relay:7722'));
    }
    for (const pod of live) {
        const status = fs.readFileSync(`/proc/${pod.pid}/status`, 'utf8');
        const user = pod.workload.spec.securityContext.runAsUser;
        ok(`${pod.name} has no capabilities`, /CapBnd:\s*0+\n/.test(status) && /CapEff:\s*0+\n/.test(status));
        ok(`${pod.name} runs as ${user}`, new RegExp(`Uid:\\s*${user}\\s`).test(status));
        ok(`${pod.name} gains no privileges`, /NoNewPrivs:\s*1/.test(status));
    }

    const ledger = redis('FCALL', 'plait1_ledger', '1', `plait:{${name}}:`).split('\n').map((n) => parseInt(n, 10));
    ok(`the ledger balances: ${ledger}`, ledger[0] > 0 &&
        ledger[0] === ledger[1] + ledger[2] + ledger[3] + ledger[4] + ledger[6]);
    const shown = await again.also(['status', '/etc/plait/run.yaml', '--json']);
    ok('plait status in the learner', shown.code === 0 && JSON.parse(shown.text).step === steps);

    for (const pod of cluster.pods.filter((at) => !at.gone)) {
        ok(`${pod.name} was alive, not: ${pod.died}`, !pod.died);
        ok(`${pod.name}: asked whether it lives`, pod.probes.livenessProbe.good > 0);
        ok(`${pod.name} leaves well`, (await pod.end()) === 0);
    }
}

try {
    await scenario();
} catch (error) {
    ok(error.message, false);
}
if (wrong > 0) {
    for (const pod of cluster.pods) {
        const lines = fs.existsSync(pod.log) ? fs.readFileSync(pod.log, 'utf8').split('\n').slice(-8) : [];
        console.log(`${pod.name}: ${JSON.stringify(pod.probes)}\n    ${lines.join('\n    ').slice(0, 2000)}`);
    }
}
console.log(`${checks} checks, ${wrong} failed`);
process.exit(wrong > 0 ? 1 : 0);
