#!/usr/bin/env node
import { outliveReaders } from './cli/exit.ts';
import { main } from './cli/program.ts';

outliveReaders();
process.exitCode = await main(process.argv.slice(2));
