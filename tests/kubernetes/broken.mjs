// The test of the checks: manifests that are right but for one thing, each of which must be found, by
// the check that is there for it. Usage: node broken.mjs VERSION FILE...: built manifests that are
// right; a change is made to the first of them that has what it changes.

import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {lint, rules} from './lint.mjs';
import {find, read} from './objects.mjs';
import {byModels, byTypes} from './schemas.mjs';

const pod = (objects, kind, name) => find(objects, kind, name).spec.template.spec;
const actor = (objects) => pod(objects, 'Deployment', 'plait-actor');
const learner = (objects) => pod(objects, 'StatefulSet', 'plait-learner');
const main = (spec) => spec.containers[0];
const policy = (objects, name) => find(objects, 'NetworkPolicy', name).spec;
const drop = (objects, kind, name) => objects.splice(objects.indexOf(find(objects, kind, name)), 1);
const secret = (objects) => objects.find(({kind}) => kind === 'Secret');
const secretVolume = (objects) => learner(objects).volumes.find((volume) => volume.secret);

// [check, what is wrong, how it is made wrong]
const changes = [
    ['schema', 'a number as text', (o) => (find(o, 'Deployment', 'plait-actor').spec.replicas = 'three')],
    ['schema', 'no selector', (o) => delete find(o, 'Deployment', 'plait-actor').spec.selector],
    ['schema', 'a kind that is not', (o) => (find(o, 'Service', 'plait-redis').kind = 'Servise')],
    ['type', 'a misspelt field', (o) => (main(actor(o)).readinesProbe = {})],
    ['type', 'a field in the wrong place', (o) => (actor(o).readOnlyRootFilesystem = true)],
    ['type', 'a misspelt field of KEDA', (o) => (find(o, 'ScaledObject', 'plait-actor').spec.maxReplicas = 3)],

    ['restricted', 'may be root', (o) => (actor(o).securityContext.runAsNonRoot = false)],
    ['restricted', 'root', (o) => (actor(o).securityContext.runAsUser = 0)],
    ['restricted', 'no seccomp', (o) => delete actor(o).securityContext.seccompProfile],
    ['restricted', 'a capability', (o) => (main(actor(o)).securityContext.capabilities.add = ['SYS_NICE'])],
    ['restricted', 'capabilities', (o) => delete main(actor(o)).securityContext.capabilities],
    ['restricted', 'escalation', (o) => delete main(actor(o)).securityContext.allowPrivilegeEscalation],
    ['restricted', 'a writable root', (o) => delete main(actor(o)).securityContext.readOnlyRootFilesystem],
    ['restricted', 'the host network', (o) => (actor(o).hostNetwork = true)],
    ['restricted', 'a folder of the host', (o) => actor(o).volumes.push({name: 'x', hostPath: {path: '/'}})],
    ['restricted', 'a port of the host', (o) => (main(actor(o)).ports[0].hostPort = 9640)],
    ['restricted', 'an init container', (o) => delete actor(o).initContainers[0].securityContext.capabilities],
    ['quiet', 'a token', (o) => delete actor(o).automountServiceAccountToken],
    ['quiet', 'service links', (o) => delete actor(o).enableServiceLinks],
    ['grace', 'less than the lease', (o) => (actor(o).terminationGracePeriodSeconds = 10)],
    ['grace', 'the default', (o) => delete actor(o).terminationGracePeriodSeconds && (objectOf(o, 'plait-run').data['run.yaml'] += 'link.lease_s: 31\n')],
    ['grace', "no longer than an actor's drain", (o) => (objectOf(o, 'plait-run').data['run.yaml'] += 'workers.drain_s: 90\n')],
    ['grace', "no longer than the learner's drain", (o) => (learner(o).terminationGracePeriodSeconds = 240)],
    ['grace', "a learner's drain that is set", (o) => (objectOf(o, 'plait-run').data['run.yaml'] += 'workers.learner_drain_s: 600\n')],
    ['probes', 'none', (o) => delete main(actor(o)).livenessProbe],
    ['probes', 'of another path', (o) => (main(actor(o)).livenessProbe.httpGet.path = '/readyz')],
    ['probes', 'of another port', (o) => (main(actor(o)).readinessProbe.httpGet.port = 'htpp')],
    ['resources', 'none', (o) => delete main(actor(o)).resources],
    ['resources', 'more memory than asked for', (o) => (main(actor(o)).resources.limits.memory = '64Gi')],
    ['resources', 'threads of another number', (o) => (main(actor(o)).env = main(actor(o)).env.slice(0, 1))],
    ['image', 'no tag', (o) => (main(actor(o)).image = 'registry.example:5000/plait')],
    ['image', 'latest', (o) => (main(actor(o)).image = 'plait:latest')],
    ['image', 'of an init container', (o) => (actor(o).initContainers[0].image = 'plait')],
    ['worker', 'one name for all actors', (o) => (main(actor(o)).args[3] = 'actor')],
    ['worker', 'a name from elsewhere', (o) => (main(actor(o)).env[0].valueFrom.fieldRef.fieldPath = 'spec.nodeName')],
    ['worker', 'another learner', (o) => (main(learner(o)).args[3] = 'learner-0')],

    ['labels', 'one is missing', (o) => delete find(o, 'Service', 'plait-redis').metadata.labels['app.kubernetes.io/part-of']],
    ['labels', 'another version', (o) => (find(o, 'Deployment', 'plait-actor').spec.template.metadata.labels['app.kubernetes.io/version'] = '0.0.9')],
    ['selectors', 'of a Service', (o) => (find(o, 'Service', 'plait-redis').spec.selector['app.kubernetes.io/component'] = 'reddis')],
    ['selectors', 'of a Deployment', (o) => (find(o, 'Deployment', 'plait-actor').spec.selector.matchLabels['app.kubernetes.io/component'] = 'act')],
    ['selectors', 'too wide', (o) => (find(o, 'Deployment', 'plait-actor').spec.selector.matchLabels = {'app.kubernetes.io/name': 'plait'})],
    ['selectors', 'of a budget', (o) => (find(o, 'PodDisruptionBudget', 'plait-actor').spec.selector.matchLabels['app.kubernetes.io/component'] = 'actors')],
    ['selectors', 'of a spread', (o) => (actor(o).topologySpreadConstraints[0].labelSelector.matchLabels = {app: 'actor'})],
    ['ports', 'a name that is not', (o) => (find(o, 'Service', 'plait-learner').spec.ports[0].targetPort = 'anounce')],
    ['ports', 'another number without an address', (o) => (find(o, 'Service', 'plait-redis').spec.ports[0].port = 6380)],
    ['ports', 'a StatefulSet without its Service', (o) => (find(o, 'StatefulSet', 'plait-redis').spec.serviceName = 'redis')],
    ['policies', 'none that denies', (o) => drop(o, 'NetworkPolicy', 'plait-deny')],
    ['policies', 'one that selects nothing', (o) => (policy(o, 'plait-actor').podSelector.matchLabels['app.kubernetes.io/component'] = 'aktor')],
    ['policies', 'a peer that is not', (o) => (policy(o, 'plait-redis').ingress[0].from[0].podSelector.matchLabels['app.kubernetes.io/component'] = 'lerner')],
    ['policies', 'a port that is not', (o) => (policy(o, 'plait-redis').ingress[0].ports[0].port = 'reddis')],
    ['policies', 'from everywhere', (o) => delete policy(o, 'plait-redis').ingress[0].from],
    ['edges', 'not let out', (o) => drop(o, 'NetworkPolicy', 'plait-actor')],
    ['edges', 'not let in', (o) => drop(o, 'NetworkPolicy', 'plait-redis')],
    ['edges', 'another port', (o) => (policy(o, 'plait-redis').ingress[0].ports[0].port = 1)],
    ['edges', 'a Service that is not', (o) => (objectOf(o, 'plait-env').data.PLAIT_LINK_REDIS = 'redis://redis:6379')],

    ['references', 'a ConfigMap that is not', (o) => (learner(o).volumes.find(({configMap}) => configMap).configMap.name = 'x')],
    ['references', 'a key that is not', (o) => (learner(o).volumes.find(({configMap}) => configMap).configMap.items = [{key: 'x', path: 'x'}])],
    ['references', 'an environment that is not', (o) => (main(actor(o)).envFrom[0].configMapRef.name = 'x')],
    ['references', 'a volume that is not', (o) => (main(actor(o)).volumeMounts[0].name = 'x')],
    ['references', 'a volume for nobody', (o) => actor(o).volumes.push({name: 'x', emptyDir: {}})],
    ['references', 'a claim that is not', (o) => actor(o).volumes.push({name: 'x', persistentVolumeClaim: {claimName: 'x'}})],
    ['references', 'a mount in a mount', (o) => (main(actor(o)).volumeMounts[1].mountPath = '/etc/plait/data')],
    ['references', 'a Secret that is not', (o) => (secretVolume(o).secret.secretName = 'x')],
    ['secrets', 'readable by all', (o) => delete secretVolume(o).secret.defaultMode],
    ['secrets', 'in a variable', (o) => main(actor(o)).env.push({name: 'X', valueFrom: {secretKeyRef: {name: secret(o).metadata.name, key: 'x'}}})],
    ['secrets', 'without a group', (o) => delete learner(o).securityContext.fsGroup],
    ['namespace', 'not restricted', (o) => (o.find(({kind}) => kind === 'Namespace').metadata.labels = {})],
    ['namespace', 'another one', (o) => (find(o, 'Service', 'plait-redis').metadata.namespace = 'default')],
    ['scaling', 'of what is not', (o) => (find(o, 'ScaledObject', 'plait-actor').spec.scaleTargetRef.name = 'actors')],
    ['scaling', 'of the learner', (o) => Object.assign(find(o, 'ScaledObject', 'plait-actor').spec.scaleTargetRef, {kind: 'StatefulSet', name: 'plait-learner'})],
    ['scaling', 'to nothing', (o) => (find(o, 'ScaledObject', 'plait-actor').spec.minReplicaCount = 0)],
    ['scaling', 'by lag', (o) => (find(o, 'ScaledObject', 'plait-actor').spec.triggers[0].metadata.lagCount = '5')],
    ['scaling', "another run's stream", (o) => (find(o, 'ScaledObject', 'plait-actor').spec.triggers[0].metadata.stream = 'plait:{x}:prompts')],
    ['scaling', 'an address only known inside', (o) => (find(o, 'ScaledObject', 'plait-actor').spec.triggers[0].metadata.address = 'plait-redis:6379')],
    ['scaling', 'an HPA of what is not', (o) => (find(o, 'HorizontalPodAutoscaler', 'plait-actor').spec.scaleTargetRef.name = 'x')],
    ['scaling', 'twice', (o) => o.push({...o.find(({kind}) => kind === 'ScaledObject').valueOf()})],
    ['scaling', 'a password that is not', (o) => (o.find(({kind}) => kind === 'TriggerAuthentication').spec.secretTargetRef[0].key = 'x')],
];

function objectOf(objects, prefix) {
    return objects.find(({kind, metadata}) => kind === 'ConfigMap' && metadata.name.startsWith(prefix));
}

const [version, ...files] = process.argv.slice(2);
const folder = path.dirname(fileURLToPath(import.meta.url));
const sets = files.map(read);
let wrong = 0;
for (const [check, what, change] of changes) {
    let objects;
    for (const set of sets) {
        const copy = structuredClone(set);
        try {
            change(copy);
        } catch {
            continue; // this one has not what is changed
        }
        if (JSON.stringify(copy) !== JSON.stringify(set)) {
            objects = copy;
            break;
        }
    }
    let found = [];
    if (!objects) found = null;
    else if (check === 'schema') found = await byModels(objects);
    else if (check === 'type') found = byTypes(objects, folder);
    else found = lint(objects, {version}).filter(({rule}) => rule === check).map(({text}) => text);
    if (found === null) console.log(`WRONG: ${check}: ${what}: no manifest has it`);
    else if (found.length === 0) console.log(`WRONG: ${check}: ${what}: not found`);
    else console.log(`found: ${check}: ${what}: ${found[0]}`);
    wrong += !found?.length;
}
for (const rule of Object.keys(rules)) {
    if (changes.some(([check]) => check === rule)) continue;
    console.log(`WRONG: rule '${rule}' has no manifest that it finds`);
    wrong++;
}
console.log(`${changes.length} broken manifests, ${wrong} not found`);
process.exit(wrong > 0 ? 1 : 0);
