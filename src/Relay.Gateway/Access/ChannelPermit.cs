using Relay.Gateway.Grid;
using Relay.Gateway.Hosting;
using Relay.Gateway.Sessions;

namespace Relay.Gateway.Access;

/// <summary>
/// Proof that the silo allowed one thing in one session. Opening anything on a target needs one, and only
/// <see cref="Authority"/>, which asks the silo, can make one: no call site can skip the question (L22).
/// </summary>
internal sealed class ChannelPermit
{
    private int _used;

    private ChannelPermit(GatewaySession session, ChannelDemand demand, Guid decisionId) => (Session, Demand, DecisionId) = (session, demand, decisionId);

    public GatewaySession Session { get; }

    public ChannelDemand Demand { get; }

    public Guid DecisionId { get; }

    /// <summary>True the first time only: one permit opens one channel.</summary>
    public bool TryUse() => Interlocked.Exchange(ref _used, 1) == 0;

    /// <summary>The one place where channels and requests are allowed or refused.</summary>
    internal sealed class Authority(GatewaySession session, GatewayMetrics metrics)
    {
        /// <summary>Asks once. No answer is a refusal.</summary>
        public async ValueTask<ChannelDecision> AuthorizeAsync(ChannelDemand demand, CancellationToken cancellationToken)
        {
            var decision = await DecideAsync(demand, cancellationToken);
            metrics.OnDecision(demand.Name, decision.Permit is not null);
            return decision;
        }

        private async ValueTask<ChannelDecision> DecideAsync(ChannelDemand demand, CancellationToken cancellationToken)
        {
            if (demand.Question is not { } question)
            {
                var what = ((ChannelDemand.Unsupported)demand).What;
                await session.Events.ReportAsync(what, "denied", ("reason", "not offered"));
                return new ChannelDecision(null, $"Relay does not offer {what}.");
            }

            try
            {
                var answer = await session.Silo.AuthorizeAsync(session.Id, question, cancellationToken);
                return answer.Allowed
                    ? new ChannelDecision(new ChannelPermit(session, demand, answer.DecisionId), "")
                    : new ChannelDecision(null, UserText.Clean(answer.Message ?? $"{demand.Name} is not allowed here (decision {answer.DecisionId})."));
            }
            catch (GridException e)
            {
                return new ChannelDecision(null, UserText.Clean($"{demand.Name} could not be decided: {e.Message}"), Undecided: true);
            }
        }
    }
}

/// <summary>An answer: a permit, or a message for the user.</summary>
/// <param name="Undecided">The session's silo could not be asked, or does not know the session any more.</param>
internal readonly record struct ChannelDecision(ChannelPermit? Permit, string Message, bool Undecided = false);
