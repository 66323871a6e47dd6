/**
 * A rule for oxlint: a class without a base has a private member, or is named as a record in the configuration. The compiler then
 * refuses any other object in the place of an instance, however much it looks like one.
 */
const nominal = {
  meta: {
    schema: [{ type: "object", properties: { records: { type: "array", items: { type: "string" } } } }],
  },
  create(context) {
    const [{ records } = { records: [] }] = context.options;
    const check = (node) => {
      if (node.superClass || records.includes(node.id?.name) || node.body.body.some(isPrivate)) return;
      const name = node.id?.name ?? "this class";
      context.report({ node: node.id ?? node, message: `${name} has no private member: use an interface` });
    };
    return { ClassDeclaration: check, ClassExpression: check };
  },
};

export default { meta: { name: "classes" }, rules: { nominal } };

/** Whether each instance has this private member: a static one, or a private constructor, is no member of it. */
function isPrivate(member) {
  if (member.static) return false;
  if (member.kind === "constructor") return member.value.params.some(isHidden);
  return member.key?.type === "PrivateIdentifier" || isHidden(member);
}

function isHidden({ accessibility }) {
  return accessibility === "private" || accessibility === "protected";
}
