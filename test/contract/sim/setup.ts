import { runWithin } from "../world.js";
import { runContract } from "./host.js";

runWithin(runContract);
