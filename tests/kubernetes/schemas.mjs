// The schemas that Kubernetes publishes, by two packages: kubernetes-models has them compiled and
// finds wrong types and what is missing; kubernetes-types has them as types, with which the compiler
// of TypeScript finds names that do not exist. Kinds of KEDA are in keda.d.ts.

import path from 'node:path';
import ts from 'typescript';
import {title} from './objects.mjs';

const KEDA = ['ScaledObject', 'TriggerAuthentication'];

// What the compiled schemas say, as sentences.
export async function byModels(objects) {
    const found = [];
    for (const object of objects) {
        if (KEDA.includes(object.kind)) continue;
        let model;
        try {
            model = await import(`kubernetes-models/${object.apiVersion}/${object.kind}`);
        } catch {
            found.push(`${title(object)}: there is no kind ${object.kind} in ${object.apiVersion}`);
            continue;
        }
        try {
            new model[object.kind](structuredClone(object)).validate();
        } catch (error) {
            found.push(`${title(object)}: ${error.message}`);
        }
    }
    return found;
}

function typeOf(object) {
    if (KEDA.includes(object.kind)) return `import('./keda').${object.kind}`;
    const [group, version] = object.apiVersion.includes('/')
        ? object.apiVersion.split('/')
        : ['core', object.apiVersion];
    return `import('kubernetes-types/${group.split('.')[0]}/${version}').${object.kind}`;
}

// What the compiler says of each object as a literal of its type.
export function byTypes(objects, folder) {
    const name = path.join(folder, 'objects.ts');
    const starts = [];
    let text = '';
    for (const object of objects) {
        starts.push(text.split('\n').length);
        text += `export const o${starts.length}: ${typeOf(object)} = ${JSON.stringify(object, null, 1)};\n`;
    }
    const options = {
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        types: [],
        module: ts.ModuleKind.ESNext,
        moduleResolution: ts.ModuleResolutionKind.Bundler,
        target: ts.ScriptTarget.ES2022,
    };
    const host = ts.createCompilerHost(options);
    const {getSourceFile, fileExists, readFile} = host;
    host.getSourceFile = (file, ...rest) =>
        file === name ? ts.createSourceFile(file, text, rest[0]) : getSourceFile(file, ...rest);
    host.fileExists = (file) => file === name || fileExists(file);
    host.readFile = (file) => (file === name ? text : readFile(file));
    const program = ts.createProgram([name], options, host);
    return ts.getPreEmitDiagnostics(program).map(({file, start, messageText}) => {
        const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
        const index = starts.findLastIndex((at) => at <= line);
        const why = ts.flattenDiagnosticMessageText(messageText, ' ').replace(/\s+/g, ' ');
        return `${index < 0 ? 'types' : title(objects[index])}: ${why}`;
    });
}
