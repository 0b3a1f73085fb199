using System.Text.Json.Serialization.Metadata;
using Relay.Protocol.Grid;
using Relay.Silo.Grid;
using Relay.Silo.Sessions;
using Relay.Silo.Storage;

namespace Relay.Silo.Snapshots;

/// <summary>
/// What this silo reads and writes in the store for another one that does not reach it. Always from the store, never from memory: who
/// asks must not be told less than is written.
/// </summary>
internal sealed class PeerStoreRoutes(SnapshotLoader loader, SnapshotAckStore acks, SessionStore sessions, IGridMembers members, StoreHealth store, TimeProvider time) : IGridRoutes
{
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(GridRoutes.PeerChanges, context => AnswerAsync(
            context, PeerStoreJson.Default.PeerChangesRequest, PeerStoreJson.Default.PeerChanges, question => question.Incarnation, async (question, token) =>
            {
                var heads = await loader.ReadHeadsAsync(token);
                return new PeerChanges(heads.Versions, [.. (await sessions.PendingKillsAsync(question.Incarnation, token)).Select(k => new PeerKill(k.SessionId, k.KilledBy))], heads.RevokedGateways);
            })).For(GridRole.Silo);
        routes.MapPost(GridRoutes.PeerSnapshot, context => AnswerAsync(
            context, PeerStoreJson.Default.PeerSnapshotRequest, PeerStoreJson.Default.PeerSnapshotAnswer, _ => null, async (question, token) =>
                new PeerSnapshotAnswer(await loader.ReadAsync(question.OrganizationId, known: null, token)))).For(GridRole.Silo);
        routes.MapPost(GridRoutes.PeerAcknowledgement, context => AnswerAsync(
            context, PeerStoreJson.Default.PeerAcknowledgement, PeerStoreJson.Default.PeerAcknowledgementAnswer, question => question.Incarnation, async (question, token) =>
                new PeerAcknowledgementAnswer((await acks.WriteAsync(question.Incarnation, question.OrganizationId, question.Since, question.Version, token))?.TotalSeconds))).For(GridRole.Silo);
    }

    private async Task AnswerAsync<TQuestion, TAnswer>(
        HttpContext context, JsonTypeInfo<TQuestion> questionType, JsonTypeInfo<TAnswer> answerType, Func<TQuestion, Guid?> speaksFor, Func<TQuestion, CancellationToken, Task<TAnswer>> answer)
        where TQuestion : class
    {
        if (await GridReply.ReadAsync(context, questionType, time) is not { } question)
            return;

        // SECURITY: a silo confirms for itself and for nobody else.
        if (speaksFor(question) is { } incarnation && !members.Serving.Any(m => m.Incarnation == incarnation && (m.Name.Length == 0 || m.Name == context.GridPeer().Name)))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status403Forbidden, "wrong_name", "the certificate is for another silo, or this start of it is not known here");
            return;
        }

        using var stop = new StoreBound(context.RequestAborted, store.Outage);
        try
        {
            await GridReply.WriteAsync(context, await answer(question, stop.Token), answerType);
        }
        catch (Exception e) when (!context.RequestAborted.IsCancellationRequested && (e is OperationCanceledException || StoreErrors.IsOutage(e)))
        {
            store.Suspect(e);
            await GridReply.RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, "store_unavailable", "this silo does not reach the store either");
        }
    }
}
