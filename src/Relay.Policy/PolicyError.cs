namespace Relay.Policy;

/// <summary>One thing wrong with a policy document.</summary>
/// <param name="Path">JSON path of the value or key, e.g. <c>$.permissions.ssh.exec.commands[2]</c>; <c>$</c> for the document as a whole.</param>
/// <param name="Message">One sentence: what is wrong and what would be right.</param>
public sealed record PolicyError(string Path, string Message);
